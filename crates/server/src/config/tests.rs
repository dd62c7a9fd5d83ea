use std::collections::BTreeSet;

use super::*;

fn load(file: &str, environment: &[(&str, &str)], flags: &Flags) -> Result<Config, ConfigError> {
    Config::from_parts(file, environment.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())), flags)
}

fn explained(file: &str, environment: &[(&str, &str)], flags: &Flags) -> Vec<ShownSetting> {
    let environment = environment.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
    read_all(file, environment, flags, Purpose::Develop(ConfigSecret::from("known"))).unwrap().1
}

/// All faults, as they are told.
fn faults(file: &str, environment: &[(&str, &str)], flags: &Flags) -> Vec<String> {
    load(file, environment, flags).unwrap_err().0.iter().map(ToString::to_string).collect()
}

fn dev() -> Flags {
    Flags { dev: true, ..Flags::default() }
}

/// The keys of the reference, with what stands above each.
fn documented() -> Vec<(String, String)> {
    let (mut section, mut above, mut keys) = (String::new(), String::new(), Vec::new());
    for line in DEFAULT.lines() {
        if let Some(comment) = line.strip_prefix('#') {
            above.push_str(comment);
        } else if let Some((key, _)) = line.split_once(" = ") {
            keys.push((lines::joined(&section, key), std::mem::take(&mut above)));
        } else {
            section = line.trim_matches(['[', ']']).to_owned();
            above.clear();
        }
    }
    keys
}

#[test]
fn every_key_of_the_reference_is_documented_with_its_unit_and_when_to_change_it() {
    for (key, above) in documented() {
        let (what, rest) = above.split_once("Unit: ").unwrap_or_else(|| panic!("{key} has no unit: {above}"));
        let (unit, change) = rest.split_once("Change: ").unwrap_or_else(|| panic!("{key}: when is it to be changed? {above}"));
        assert!(what.len() > 10 && unit.len() > 3 && change.len() > 10, "{key}: {above}");
    }
}

#[test]
fn the_program_reads_every_key_of_the_reference_and_no_other() {
    let (reference, lines) = parse(DEFAULT, Path::new("reference")).unwrap();
    let mut reader = Reader::new(reference, &lines);
    read::config(&mut reader, Purpose::Develop(ConfigSecret::from("known")));
    assert_eq!(reader.faults, [], "a fault is replaced by a value of the reference, so that has none");
    let written: BTreeSet<_> = documented().into_iter().map(|(key, _)| key).collect();
    assert_eq!(reader.asked, written);
    let shown: BTreeSet<_> = reader.settings().into_iter().map(|setting| setting.key).collect();
    assert_eq!(shown, written);
}

#[test]
fn the_defaults_are_those_of_the_crates() {
    let config = load("", &[], &dev()).unwrap();
    assert_eq!(config.store, store::Config::default());
    assert_eq!(config.sessions, sessions::config::Config::default());
    assert_eq!(config.webhooks, webhooks::engine::Config { dev: true, ..webhooks::engine::Config::default() });
    assert_eq!(config.limits.requests, Rate { per_second: 20, burst: 100 });
}

#[test]
fn flags_go_over_the_environment_and_that_over_the_file() {
    let file = "[http]\nlisten = \"127.0.0.1:1\"\n[ops]\nlisten = \"127.0.0.1:2\"\n[limits]\nhead_timeout = \"7s\"";
    let environment = [("BELLWIRE_HTTP__LISTEN", "127.0.0.1:3"), ("BELLWIRE_LIMITS__POLLS_PER_SECOND", "9"), ("PATH", "/bin")];
    let flags = Flags { listen: Some("127.0.0.1:4".to_owned()), ..dev() };
    let config = load(file, &environment, &flags).unwrap();
    assert_eq!((config.listen.port(), config.ops_listen.port()), (4, 2));
    assert_eq!((config.limits.head_timeout, config.limits.polls.per_second), (Duration::from_secs(7), 9));
}

#[test]
fn all_faults_are_told_at_once() {
    let file = "colour = 1\n[http]\nlisten = \"here\"\n[limits]\nhead_timeout = 5\nconnections = -1\n\n[store]\n\
                keep_age = \"soon\"\nkeep_aeg = 1\n[log]\nfilter = \"a=b=c\"";
    let flags = Flags { ops_listen: Some("there".to_owned()), ..Flags::default() };
    let faults = faults(file, &[("BELLWIRE_LIMITS__COLOUR", "1")], &flags);
    let told = |start: &str| faults.iter().any(|fault| fault.starts_with(start));
    for start in [
        "file:1: colour: is not known here",
        "BELLWIRE_LIMITS__COLOUR: limits.colour: is not known here",
        "file:3: http.listen: invalid socket address syntax, got \"here\"",
        "file:5: limits.head_timeout: must be a duration",
        "file:6: limits.connections: must be a number",
        "file:9: store.keep_age: must be a duration",
        "file:10: store.keep_aeg: is not known here; did you mean keep_age?",
        "file:12: log.filter: error parsing level filter",
        "--ops-listen: ops.listen: invalid socket address syntax, got \"there\"",
        "auth.issuers: names nobody",
    ] {
        assert!(told(start), "{start} in {faults:#?}");
    }
    assert_eq!(faults.len(), 10, "{faults:#?}");
}

#[test]
fn a_faulty_value_is_told_once_and_hides_no_other() {
    let file = "[http]\ntls_certificate = 1\ntls_key = 2\ntrusted_proxies = [\"x\"]\nclient_address = \"forwarded\"\n\
                [ops]\nlisten = \"0.0.0.0:1\"\ntls_key = \"k\"\ntoken_file = 3\n[auth]\nissuers = 4\n";
    let told = faults(file, &[], &Flags::default());
    let expected = [
        "file:2: http.tls_certificate: must be a string, got 1",
        "file:3: http.tls_key: must be a string, got 2",
        "file:4: http.trusted_proxies: invalid IP address syntax, got \"x\"",
        "file:9: ops.token_file: must be a string, got 3",
        "file:11: auth.issuers: must be written as [[auth.issuers]]",
        "ops.tls_certificate: is missing: ops.tls_key is of no use without it",
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_key_that_is_gone_says_what_to_do_instead() {
    let told = faults("[telemetry]\nmetrics_interval = \"10s\"", &[("BELLWIRE_TELEMETRY__METRICS_INTERVAL", "10s")], &dev());
    let instead = "telemetry.metrics_interval: is gone, as metrics are no longer sent over OTLP: take the key away, and have the \
                   collector scrape /metrics at ops.listen";
    assert_eq!(told, [format!("file:2: {instead}"), format!("BELLWIRE_TELEMETRY__METRICS_INTERVAL: {instead}")]);
}

#[test]
fn a_duration_that_no_clock_reaches_is_refused() {
    let told = faults("[sessions]\nresume_age = \"18446744073709548015s\"", &[], &dev());
    assert_eq!(told, ["file:2: sessions.resume_age: must be at most 100 years, got \"18446744073709548015s\""]);
}

#[test]
fn development_listens_on_loopback_only() {
    let open = |flags: Flags| faults("", &[], &flags).join("\n");
    assert!(
        open(Flags { listen: Some("0.0.0.0:8080".to_owned()), ..dev() }).contains("http.listen: 0.0.0.0:8080 is not loopback")
    );
    assert!(open(Flags { ops_listen: Some("0.0.0.0:9090".to_owned()), ..dev() }).contains("ops.token_file must name a secret"));
    assert!(load("", &[], &Flags { listen: Some("[::1]:8080".to_owned()), ..dev() }).is_ok());
}

#[test]
fn secrets_are_long_enough_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    let file = format!("[[auth.issuers]]\nissuer = \"i\"\nsecret_file = {path:?}");
    std::fs::write(&path, "x".repeat(31)).unwrap();
    let told = faults(&file, &[], &Flags::default());
    assert!(told[0].starts_with("file:3: auth.issuers[0].secret_file: ") && told[0].contains("at least 32"), "{told:?}");
    std::fs::write(&path, format!("{}\n", "x".repeat(32))).unwrap();
    let config = load(&file, &[], &Flags::default()).unwrap();
    assert!(!format!("{config:?}").contains("xxxx"));
    assert!(matches!(&config.issuers[0].keys, Keys::Secret(secret) if secret.expose().len() == 32));
}

#[test]
fn a_broken_file_says_every_broken_line() {
    let told = faults("[http\nlisten = \"127.0.0.1:1\"\n[ops]\nlisten = \n", &[], &dev());
    assert!(
        told.len() >= 2 && told[0].starts_with("file:1: ") && told.iter().any(|fault| fault.starts_with("file:4: ")),
        "{told:#?}"
    );
}

#[test]
fn every_fault_of_every_issuer_is_told_with_its_line() {
    let file = "[[auth.issuers]]\nissuer = \"a\"\njwks_file = 5\n\n[[auth.issuers]]\njwks = \"x\"\njwks_file = \"y\"\n";
    let told = faults(file, &[], &Flags::default());
    let expected = [
        "file:3: auth.issuers[0].jwks_file: must be a string, got 5",
        "file:5: auth.issuers[1]: issuer is required",
        "file:6: auth.issuers[1].jwks: is not known here; known are issuer, audience, discovery, jwks_url, jwks_file, secret_file",
    ];
    assert_eq!(told, expected);
}

#[test]
fn an_issuer_has_one_source_of_keys_that_can_be_trusted() {
    let fault = |lines: &str| {
        let told = faults(&format!("[[auth.issuers]]\n{lines}\n"), &[], &Flags::default());
        assert_eq!(told.len(), 1, "{told:#?}");
        told[0].clone()
    };
    let named = |lines: &str| fault(&format!("issuer = \"https://idp.example\"\n{lines}"));
    let expected = "file:1: auth.issuers[0]: one of discovery, jwks_url, jwks_file, secret_file is required";
    assert_eq!((named(""), named("discovery = false")), (expected.to_owned(), expected.to_owned()));
    let expected = "file:4: auth.issuers[0].jwks_file: is one too many: the keys come from discovery";
    assert_eq!(named("discovery = true\njwks_file = \"x\""), expected);
    assert_eq!(named("discovery = \"x\""), "file:3: auth.issuers[0].discovery: must be true or false, got \"x\"");
    for (url, why) in [
        ("http://idp.example/keys", "must begin with https://"),
        ("http://127.0.0.1.example/keys", "must begin with https://"),
        ("http://10.0.0.1/keys", "must begin with https://"),
        ("ftp://localhost/keys", "must begin with https://"),
        ("file:///keys", "has no host"),
        ("keys", "is not a URL"),
        ("https://me:pass@idp.example/keys", "must not hold a user"),
        ("https://idp.example/keys#x", "must not have a fragment"),
    ] {
        let told = named(&format!("jwks_url = {url:?}"));
        assert!(told.starts_with(&format!("file:3: auth.issuers[0].jwks_url: {why}")), "{told}");
    }
    for issuer in ["idp", "http://idp.example", "https://idp.example?x", "https://idp.example#x"] {
        let told = fault(&format!("issuer = {issuer:?}\ndiscovery = true"));
        assert!(told.starts_with("file:3: auth.issuers[0].discovery: needs "), "{told}");
    }
    let twice = "issuer = \"i\"\njwks_file = \"x\"\n[[auth.issuers]]\nissuer = \"i\"\njwks_file = \"y\"";
    assert_eq!(fault(twice), "file:5: auth.issuers[1].issuer: \"i\" stands there twice");
}

#[test]
fn discovery_is_asked_where_the_issuer_says() {
    let found = |issuer: &str| {
        let file = format!("[[auth.issuers]]\nissuer = {issuer:?}\ndiscovery = true");
        let config = load(&file, &[], &Flags::default()).unwrap();
        assert_eq!(config.issuers[0].name, issuer, "compared as written");
        match &config.issuers[0].keys {
            Keys::Discovery(url) => url.to_string(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(found("https://idp.example"), "https://idp.example/.well-known/openid-configuration");
    assert_eq!(found("https://idp.example/"), "https://idp.example/.well-known/openid-configuration");
    assert_eq!(found("https://idp.example/realms/a"), "https://idp.example/realms/a/.well-known/openid-configuration");
    assert_eq!(found("http://localhost:8080/a/"), "http://localhost:8080/a/.well-known/openid-configuration");
    assert_eq!(found("http://[::1]:1"), "http://[::1]:1/.well-known/openid-configuration");
}

#[test]
fn keys_are_fetched_every_30_s_to_30_min() {
    for (interval, is_good) in [("29s", false), ("30s", true), ("30m", true), ("31m", false), ("0s", false)] {
        let file = format!("[auth]\nkeys_interval = {interval:?}");
        assert_eq!(load(&file, &[], &dev()).is_ok(), is_good, "{interval}");
    }
}

#[test]
fn each_value_says_where_it_came_from() {
    let file = "[http]\nlisten = \"127.0.0.1:1\"\n\n[limits]\nhead_timeout = \"7s\"\n[[auth.issuers]]\nissuer = \"a\"\njwks_file = \"b\"\n";
    let flags = Flags { listen: Some("127.0.0.1:4".to_owned()), config: Some(PathBuf::from("/etc/b.toml")), ..dev() };
    let settings = explained(file, &[("BELLWIRE_LIMITS__POLLS_PER_SECOND", "9")], &flags);
    let shown = |key: &str| {
        let setting = settings.iter().find(|setting| setting.key == key).unwrap();
        format!("{} {}", setting.value, setting.origin)
    };
    assert_eq!(shown("http.listen"), "\"127.0.0.1:4\" --listen");
    assert_eq!(shown("limits.head_timeout"), "\"7s\" /etc/b.toml:5");
    assert_eq!(shown("limits.polls_per_second"), "9 BELLWIRE_LIMITS__POLLS_PER_SECOND");
    assert_eq!(shown("limits.body_timeout"), "\"10s\" default");
    assert_eq!(shown("auth.issuers[0].jwks_file"), "\"b\" /etc/b.toml:8");
    assert_eq!(shown("--dev secret"), "\"***\" default");
    let again = load(&show::written(&settings), &[], &dev()).unwrap();
    assert_eq!((again.listen.port(), again.limits.polls.per_second, again.issuers.len()), (4, 9, 2), "it is a configuration");
}

#[test]
fn what_looks_like_a_secret_is_masked() {
    let shown =
        |key: &str, value: &str| ShownSetting::new(key.to_owned(), &Value::from(value), Origin::Default).value.to_string();
    assert_eq!(shown("a.client_secret", "x"), "\"***\"");
    assert_eq!(shown("a.secret_file", "/etc/x"), "\"/etc/x\"");
    assert_eq!(shown("a.url", "https://me:pass@keys.example/a@b"), "\"https://***@keys.example/a@b\"");
}

#[test]
fn for_a_folder_nobody_need_be_trusted_and_no_secret_is_read() {
    let file = "[ops]\nlisten = \"0.0.0.0:9090\"\ntoken_file = \"/no/such/file\"\n[[auth.issuers]]\nissuer = \"i\"\nsecret_file = \"/no\"";
    let config = read_all(file, std::iter::empty(), &Flags::default(), Purpose::Folder).unwrap().0;
    assert!(config.ops_token.is_none() && config.issuers.is_empty() && !config.dev);
}
