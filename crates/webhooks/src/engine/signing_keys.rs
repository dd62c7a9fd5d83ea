//! The key pairs that applications' deliveries are signed with.

use std::sync::{Arc, PoisonError};

use protocol::id::ClientId;
use protocol::json;
use serde::{Deserialize, Serialize};
use store::documents::Kind;

use crate::engine::{ChangeError, Engine};
use crate::seal::Unopened;
use crate::sign::AppKey;

/// Bytes of a signing key's seed.
const SEED_BYTES: usize = 32;

/// A signing key as it is kept.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeptKey {
    key_id: String,
    sealed: String,
}

impl Engine {
    /// The public half of a key that an application's deliveries are signed with.
    #[must_use]
    pub fn signing_key(&self, application: &ClientId, key_id: &str) -> Option<Arc<AppKey>> {
        self.app_key(application).filter(|key| key.id() == key_id)
    }

    /// Makes the key of an application where it has none.
    pub(super) async fn ensure_signing_key(&self, application: ClientId) -> Result<(), ChangeError> {
        if self.app_key(&application).is_some() {
            return Ok(());
        }
        let mut seed = [0; SEED_BYTES];
        aws_lc_rs::rand::fill(&mut seed).map_err(|_unspecified| Unopened)?;
        let kept = KeptKey { key_id: self.new_id().hyphenated(), sealed: self.shared.sealer.seal(&seed, application.as_str())? };
        let text = json::encode(&kept);
        self.shared.store.put_document(Kind::SigningKey, application.to_string(), text.clone()).await?;
        Ok(self.load_signing_key(application.as_str(), &text)?)
    }

    pub(super) fn load_signing_key(&self, application: &str, text: &str) -> Result<(), Unopened> {
        let kept: KeptKey = serde_json::from_str(text).map_err(|_malformed| Unopened)?;
        let seed = self.shared.sealer.unseal(&kept.sealed, application)?;
        let key = AppKey::from_seed(kept.key_id, &seed).ok_or(Unopened)?;
        let application = ClientId::parse(application).map_err(|_malformed| Unopened)?;
        self.shared.signing_keys.write().unwrap_or_else(PoisonError::into_inner).insert(application, Arc::new(key));
        Ok(())
    }
}
