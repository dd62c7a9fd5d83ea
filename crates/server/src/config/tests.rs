use super::*;

fn load(file: &str, environment: &[(&str, &str)], flags: &Flags) -> Result<Config, ConfigError> {
    Config::from_parts(file, environment.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())), flags)
}

fn dev() -> Flags {
    Flags { dev: true, ..Flags::default() }
}

#[test]
fn the_defaults_are_those_of_the_crates() {
    let config = load("", &[], &dev()).unwrap();
    assert_eq!(config.store, store::Config::default());
    assert_eq!(config.sessions, sessions::Config::default());
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
    let file =
        "colour = 1\n[http]\nlisten = \"here\"\n[limits]\nhead_timeout = 5\nconnections = -1\n[store]\nkeep_age = \"soon\"";
    let ConfigError(faults) = load(file, &[("BELLWIRE_LIMITS__COLOUR", "1")], &Flags::default()).unwrap_err();
    let told = |start: &str| faults.iter().any(|fault| fault.starts_with(start));
    for start in [
        "colour: is not known (file)",
        "limits.colour: is not known (BELLWIRE_LIMITS__COLOUR)",
        "http.listen: invalid socket address syntax, got \"here\"",
        "limits.head_timeout: must be a duration",
        "limits.connections: must be a number",
        "store.keep_age: must be a duration",
        "auth.issuers: names nobody",
    ] {
        assert!(told(start), "{start} in {faults:#?}");
    }
    assert_eq!(faults.len(), 7, "{faults:#?}");
}

#[test]
fn development_listens_on_loopback_only() {
    let open = |flags: Flags| load("", &[], &flags).unwrap_err().0.join("\n");
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
    assert!(load(&file, &[], &Flags::default()).unwrap_err().0[0].contains("at least 32"));
    std::fs::write(&path, format!("{}\n", "x".repeat(32))).unwrap();
    let config = load(&file, &[], &Flags::default()).unwrap();
    assert!(!format!("{config:?}").contains("xxxx"));
    assert!(matches!(&config.issuers[0].keys, Keys::Secret(secret) if secret.expose().len() == 32));
}

#[test]
fn a_broken_file_says_the_line() {
    let ConfigError(faults) = load("[http\nlisten = 1", &[], &dev()).unwrap_err();
    assert!(faults[0].contains("line 1"), "{faults:?}");
}
