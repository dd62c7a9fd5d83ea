//! The files that a configuration names: a start would find what is wrong with them as well, but only one at a time.

use std::fs;
use std::path::Path;

use outbound::trust::Trust;
use server::auth::check_key_set;
use server::causes::with_causes;
use server::config::origin::ConfigFault;
use server::config::show::ShownSetting;
use server::config::{Config, Keys};
use server::net::tls;

/// Returns what is wrong with the files; `settings` say where each is named.
pub(super) fn faults(config: &Config, settings: &[ShownSetting]) -> Vec<ConfigFault> {
    let origin = |key: &str| settings.iter().find(|setting| setting.key == key).map(|setting| setting.origin.clone());
    let fault = |key: String, message: String| Some(ConfigFault { origin: origin(&key)?, key, message });
    let mut faults = Vec::new();
    for (place, issuer) in config.issuers.iter().enumerate() {
        if let Keys::JwksFile(path) = &issuer.keys
            && let Err(error) = check_key_set(path)
        {
            faults.extend(fault(format!("auth.issuers[{place}].jwks_file"), with_causes(&error)));
        }
    }
    for (section, files) in [("http", &config.tls), ("ops", &config.ops_tls)] {
        let failed = files.as_ref().and_then(|files| tls::check(files).err());
        faults.extend(failed.and_then(|error| fault(format!("{section}.tls_certificate"), with_causes(&error))));
    }
    let telemetry = config.telemetry.as_ref().and_then(|telemetry| telemetry.ca_file.as_deref());
    let (auth, webhooks) = (config.issuers_ca_file.as_deref(), config.webhooks.sender.ca_file.as_deref());
    for (section, ca_file) in [("telemetry", telemetry), ("auth", auth), ("webhooks", webhooks)] {
        let failed = ca_file.and_then(|path| Trust::authorities(Some(path)).err());
        faults.extend(failed.and_then(|error| fault(format!("{section}.ca_file"), with_causes(&error))));
    }
    let readable = |path: &Path| fs::read(path).err().map(|error| format!("{}: {error}", path.display()));
    // One that is missing is made.
    let key_file = config.key_file.as_deref().filter(|path| path.exists()).and_then(readable);
    faults.extend(key_file.and_then(|message| fault("webhooks.key_file".to_owned(), message)));
    faults
}
