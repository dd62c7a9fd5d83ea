use std::time::Duration;

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use prometheus_client::registry::Registry;
use protocol::authorise::Identity;
use serde_json::{Value, json};

use super::*;
use crate::config::{ConfigSecret, Flags, Issuer, Keys};

const SECRET: &str = "a-secret-of-at-least-32-characters!";

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn second(shift: i64) -> i64 {
    now().as_second() + shift
}

fn claims(changes: &Value) -> Value {
    let mut claims = json!({"iss": "idp", "exp": second(300), "client_id": "app", "scope": "agencyCloud/notifications.telephony.write openid"});
    claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    claims
}

fn hs256(claims: &Value, secret: &str) -> String {
    encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

fn trusting(issuers: Vec<Issuer>) -> Result<Authenticator, KeysError> {
    let flags = Flags { dev: true, ..Flags::default() };
    let config = Config { issuers, ..Config::from_parts("", std::iter::empty(), &flags).unwrap() };
    Authenticator::new(&config, Clock::stepped(now()), &Metrics::register(&mut Registry::default()))
}

fn with_audience(name: &str, audience: Option<&str>) -> Issuer {
    let (name, audience) = (name.to_owned(), audience.map(str::to_owned));
    Issuer { name, audience, keys: Keys::Secret(ConfigSecret::from(SECRET)) }
}

fn with_secret() -> Authenticator {
    trusting(vec![with_audience("idp", None)]).unwrap()
}

fn check(authenticator: &Authenticator, token: &str) -> Result<Arc<Caller>, TokenError> {
    authenticator.authenticate(token).map(|authenticated| authenticated.verified.caller)
}

/// A key pair of each kind that is taken, made by openssl, with its JWK.
struct Pair {
    algorithm: Algorithm,
    pem: String,
    public_pem: String,
    jwk: Value,
}

fn encoding_key(pair: &Pair) -> EncodingKey {
    match pair.algorithm {
        Algorithm::ES256 | Algorithm::ES384 => EncodingKey::from_ec_pem(pair.pem.as_bytes()).unwrap(),
        Algorithm::EdDSA => EncodingKey::from_ed_pem(pair.pem.as_bytes()).unwrap(),
        _ => EncodingKey::from_rsa_pem(pair.pem.as_bytes()).unwrap(),
    }
}

fn openssl(arguments: &[&str], input: &str) -> String {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let mut command = Command::new("openssl");
    let mut child = command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl is installed");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

fn pair(algorithm: Algorithm, kid: &str) -> Pair {
    let arguments: &[&str] = match algorithm {
        Algorithm::ES256 => &["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
        Algorithm::ES384 => &["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
        Algorithm::EdDSA => &["genpkey", "-algorithm", "ED25519"],
        _ => &["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    };
    let pem = openssl(arguments, "");
    let public_pem = openssl(&["pkey", "-pubout"], &pem);
    let mut pair = Pair { algorithm, pem, public_pem, jwk: Value::Null };
    let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&encoding_key(&pair), algorithm).unwrap()).unwrap();
    jwk["kid"] = json!(kid);
    jwk["use"] = json!("sig");
    pair.jwk = jwk;
    pair
}

fn signed(pair: &Pair, kid: Option<&str>) -> String {
    let mut header = Header::new(pair.algorithm);
    header.kid = kid.map(str::to_owned);
    encode(&header, &claims(&json!({})), &encoding_key(pair)).unwrap()
}

struct JwksFile {
    folder: tempfile::TempDir,
}

impl JwksFile {
    fn with(pairs: &[&Pair]) -> Self {
        let file = Self { folder: tempfile::tempdir().unwrap() };
        file.write(pairs);
        file
    }

    fn write(&self, pairs: &[&Pair]) {
        let keys: Vec<_> = pairs.iter().map(|pair| pair.jwk.clone()).collect();
        std::fs::write(self.folder.path().join("jwks.json"), json!({"keys": keys}).to_string()).unwrap();
    }

    fn authenticator(&self) -> Result<Authenticator, KeysError> {
        let keys = Keys::JwksFile(self.folder.path().join("jwks.json"));
        trusting(vec![Issuer { name: "idp".to_owned(), audience: None, keys }])
    }
}

#[test]
fn a_good_token_says_who_calls_and_prefixes_of_scopes_go() {
    let caller = check(&with_secret(), &hs256(&claims(&json!({})), SECRET)).unwrap();
    assert_eq!(caller.identity, Identity::Application);
    assert!(caller.scopes.contains("notifications.telephony.write") && caller.scopes.contains("openid"));
    assert_eq!(caller.client_id().unwrap().as_str(), "app");
}

#[test]
fn reapits_names_of_the_claims_are_taken_too() {
    let reapit = json!({"client_id": null, "azp": "theirs", "custom:reapit:clientCode": "SBOX", "custom:reapit:userCode": "ADV", "custom:reapit:orgProduct": "PropertyCloud"});
    let ours = json!({"client_id": "theirs", "customerId": "SBOX", "negotiatorId": "ADV", "product": "PropertyCloud"});
    let caller = |changes| check(&with_secret(), &hs256(&claims(&changes), SECRET)).unwrap();
    assert_eq!(caller(reapit), caller(ours));
    let Identity::Person(recipient, product) = caller(json!({"customerId": "SBOX", "negotiatorId": "ADV"})).identity else {
        panic!("a person")
    };
    assert_eq!((recipient.to_string().as_str(), product.as_str()), ("SBOX/ADV", "AgencyCloud"));
}

#[test]
fn each_public_key_algorithm_is_taken_with_its_own_key() {
    let algorithms = [
        Algorithm::RS256,
        Algorithm::RS384,
        Algorithm::RS512,
        Algorithm::PS256,
        Algorithm::PS384,
        Algorithm::PS512,
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::EdDSA,
    ];
    let pairs = algorithms.map(|algorithm| pair(algorithm, &format!("{algorithm:?}")));
    let authenticator = JwksFile::with(&pairs.each_ref()).authenticator().unwrap();
    for pair in &pairs {
        let kid = format!("{:?}", pair.algorithm);
        assert!(check(&authenticator, &signed(pair, Some(&kid))).is_ok(), "{kid}");
        let other = if kid == "RS256" { "PS256" } else { "RS256" };
        assert_eq!(check(&authenticator, &signed(pair, Some(other))), Err(TokenError::Algorithm), "algorithm confusion");
    }
    assert!(matches!(check(&authenticator, &signed(&pairs[0], None)), Err(TokenError::UnknownKey(_))));
    assert!(matches!(check(&authenticator, &signed(&pairs[0], Some("other"))), Err(TokenError::UnknownKey(_))));
}

#[test]
fn a_key_that_names_no_algorithm_is_for_the_usual_one_of_its_type() {
    let mut rsa = pair(Algorithm::RS256, "r");
    rsa.jwk.as_object_mut().unwrap().remove("alg");
    let authenticator = JwksFile::with(&[&rsa]).authenticator().unwrap();
    assert!(check(&authenticator, &signed(&rsa, Some("r"))).is_ok());
    assert!(check(&authenticator, &signed(&rsa, None)).is_ok(), "there is only this one");
    rsa.algorithm = Algorithm::PS256;
    assert_eq!(check(&authenticator, &signed(&rsa, Some("r"))), Err(TokenError::Algorithm));
}

#[test]
fn a_public_key_used_as_a_secret_is_refused() {
    let pair = pair(Algorithm::RS256, "r");
    let authenticator = JwksFile::with(&[&pair]).authenticator().unwrap();
    let modulus = pair.jwk["n"].as_str().unwrap().to_owned();
    for secret in [pair.public_pem.clone(), pair.public_pem.trim().to_owned(), modulus] {
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some("r".to_owned());
        let token = encode(&header, &claims(&json!({})), &EncodingKey::from_secret(secret.as_bytes())).unwrap();
        assert_eq!(check(&authenticator, &token), Err(TokenError::Algorithm));
    }
}

#[test]
fn a_token_without_a_signature_is_refused() {
    use base64::Engine;
    let part = |json: &Value| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(json.to_string());
    for algorithm in ["none", "None", "NONE", "HS512", "HS256"] {
        let token = format!("{}.{}.", part(&json!({"alg": algorithm, "typ": "JWT"})), part(&claims(&json!({}))));
        assert!(check(&with_secret(), &token).is_err(), "{algorithm}");
    }
    for token in ["", "a", "a.b", "a.b.c", "....", &"x".repeat(9000)] {
        assert_eq!(check(&with_secret(), token), Err(TokenError::Malformed), "{token}");
    }
}

#[test]
fn a_token_with_something_critical_is_refused() {
    let mut header = Header::new(Algorithm::HS256);
    header.crit = Some(vec!["exp".to_owned()]);
    let token = encode(&header, &claims(&json!({})), &EncodingKey::from_secret(SECRET.as_bytes())).unwrap();
    assert_eq!(check(&with_secret(), &token), Err(TokenError::Malformed));
}

#[test]
fn foreign_issuers_wrong_secrets_and_changed_claims_are_refused() {
    let authenticator = with_secret();
    assert_eq!(check(&authenticator, &hs256(&claims(&json!({"iss": "other"})), SECRET)), Err(TokenError::UnknownIssuer));
    assert_eq!(check(&authenticator, &hs256(&claims(&json!({"iss": null})), SECRET)), Err(TokenError::UnknownIssuer));
    assert_eq!(
        check(&authenticator, &hs256(&claims(&json!({})), "another secret of 32 characters!!")),
        Err(TokenError::Signature)
    );
    let (mine, theirs) = (hs256(&claims(&json!({})), SECRET), hs256(&claims(&json!({"client_id": "theirs"})), SECRET));
    let part = |token: &str, place| token.split('.').nth(place).unwrap().to_owned();
    let forged = format!("{}.{}.{}", part(&mine, 0), part(&theirs, 1), part(&mine, 2));
    assert_eq!(check(&authenticator, &forged), Err(TokenError::Signature));
}

#[test]
fn tokens_are_good_from_nbf_to_exp_with_a_minute_of_leeway_also_when_remembered() {
    let authenticator = with_secret();
    let token = hs256(&claims(&json!({"exp": second(100), "nbf": second(50)})), SECRET);
    let at = |shift| {
        authenticator.clock.jump(SignedDuration::from_secs(second(shift) - authenticator.clock.now().as_second()));
        authenticator.authenticate(&token)
    };
    for _ in 0..2 {
        assert!(matches!(at(50 - 61), Err(TokenError::NotYetValid(_))));
        assert!(at(50 - 60).is_ok());
        assert!(at(159).is_ok());
        assert!(matches!(at(160), Err(TokenError::Expired(_))));
    }
    assert!(at(60).unwrap().known);
    let without_end = hs256(&claims(&json!({"exp": null})), SECRET);
    assert!(matches!(check(&authenticator, &without_end), Err(TokenError::Claims(_))));
}

#[test]
fn an_audience_is_checked_where_it_is_configured() {
    let authenticator = trusting(vec![with_audience("idp", Some("bellwire"))]).unwrap();
    let of = |audience: Value| check(&authenticator, &hs256(&claims(&json!({"aud": audience})), SECRET));
    assert!(of(json!("bellwire")).is_ok() && of(json!(["x", "bellwire"])).is_ok());
    for audience in [json!("other"), json!([]), json!(null)] {
        assert_eq!(of(audience), Err(TokenError::Audience));
    }
    assert!(check(&with_secret(), &hs256(&claims(&json!({"aud": "anything"})), SECRET)).is_ok());
}

#[test]
fn access_tokens_of_usual_identity_providers_are_understood() {
    let issuers = [
        ("https://sso.example/realms/agencies", "account"),
        ("https://agencies.eu.auth0.com/", "https://bellwire.example"),
        ("https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/v2.0", "api://bellwire"),
        ("https://cognito-idp.eu-west-2.amazonaws.com/eu-west-2_abc", ""),
    ];
    let issuers = issuers.map(|(name, audience)| with_audience(name, Some(audience).filter(|audience| !audience.is_empty())));
    let authenticator = trusting(issuers.to_vec()).unwrap();
    let keycloak = json!({
        "iss": "https://sso.example/realms/agencies", "aud": ["realm-management", "account"], "azp": "telephony", "typ": "Bearer",
        "client_id": null, "scope": "openid agencyCloud/notifications.telephony.write", "realm_access": {"roles": ["x"]},
        "acr": "1", "allowed-origins": ["/*"], "preferred_username": "service-account-telephony",
    });
    let auth0 = json!({
        "iss": "https://agencies.eu.auth0.com/", "aud": "https://bellwire.example", "azp": "telephony", "client_id": null,
        "scope": "notifications.telephony.write", "gty": "client-credentials", "sub": "telephony@clients",
    });
    let entra = json!({
        "iss": "https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/v2.0", "aud": "api://bellwire",
        "azp": "66666666-7777-8888-9999-000000000000", "azpacr": "1", "ver": "2.0", "client_id": null, "scope": null,
        "nbf": second(-5), "customerId": "SBOX", "negotiatorId": "ADV",
    });
    let cognito = json!({
        "iss": "https://cognito-idp.eu-west-2.amazonaws.com/eu-west-2_abc", "token_use": "access", "client_id": "1example23456789",
        "version": 2, "scope": "agencyCloud/notifications.telephony.write",
    });
    for token in [&keycloak, &auth0, &cognito] {
        let caller = check(&authenticator, &hs256(&claims(token), SECRET)).unwrap();
        assert_eq!(caller.identity, Identity::Application, "{token}");
        assert!(caller.client_id.is_some() && caller.scopes.contains("notifications.telephony.write"), "{token}");
    }
    let person = check(&authenticator, &hs256(&claims(&entra), SECRET)).unwrap();
    assert!(matches!(person.identity, Identity::Person(recipient, _) if recipient.to_string() == "SBOX/ADV"));
    for (mut token, audience) in [(keycloak, "https://bellwire.example"), (auth0, "account"), (entra, "account")] {
        token["aud"] = json!(audience);
        assert_eq!(check(&authenticator, &hs256(&claims(&token), SECRET)), Err(TokenError::Audience), "another issuer's");
    }
}

#[test]
fn malformed_identities_are_refused() {
    for changes in [
        json!({"negotiatorId": "ADV"}),
        json!({"customerId": "S.X", "negotiatorId": "ADV"}),
        json!({"customerId": "SBOX", "negotiatorId": "A*"}),
        json!({"client_id": "a b"}),
        json!({"exp": -1}),
        json!({"exp": 1e300}),
    ] {
        assert!(matches!(check(&with_secret(), &hs256(&claims(&changes), SECRET)), Err(TokenError::Claims(_))), "{changes}");
    }
}

/// Does something while the keys are kept up to date.
async fn while_keys_are_kept(authenticator: &Authenticator, doing: impl Future<Output = ()>) {
    let keeping = authenticator.keep_keys().next().unwrap();
    // Cancel safety: what is done is done to its end; keeping never ends.
    tokio::select! {
        () = keeping => unreachable!(),
        () = doing => {}
    }
}

#[tokio::test]
async fn a_key_that_left_the_set_ends_its_tokens_and_a_new_one_is_found_by_its_name() {
    let [old, same, new] = ["old", "same", "new"].map(|kid| pair(Algorithm::ES256, kid));
    let file = JwksFile::with(&[&old, &same]);
    let authenticator = file.authenticator().unwrap();
    let [old_token, same_token, new_token] =
        [(&old, "old"), (&same, "same"), (&new, "new")].map(|(pair, kid)| signed(pair, Some(kid)));
    let patiently =
        async |token: &str| authenticator.authenticate_patiently(token, authenticator.clock.now()).await.map(|good| good.known);
    while_keys_are_kept(&authenticator, async {
        assert_eq!((patiently(&old_token).await, patiently(&same_token).await), (Ok(false), Ok(false)));
        assert_eq!((patiently(&old_token).await, patiently(&same_token).await), (Ok(true), Ok(true)));
        file.write(&[&same, &new]);
        assert!(authenticator.authenticate(&new_token).is_err(), "not waited for");
        assert_eq!(patiently(&new_token).await, Ok(false), "waited for");
        assert_eq!(patiently(&same_token).await, Ok(true), "its key is the same, so that it need not be verified again");
        assert!(matches!(patiently(&old_token).await, Err(TokenError::UnknownKey(_))), "remembered, but its key is gone");

        std::fs::write(file.folder.path().join("jwks.json"), "{").unwrap();
        authenticator.clock.advance(Duration::from_secs(30));
        assert_eq!(patiently(&old_token).await, Err(TokenError::KeysUnavailable), "it may be good");
        assert_eq!(patiently(&new_token).await, Ok(true), "the last good keys go on");
    })
    .await;
}

#[test]
fn a_set_without_a_usable_key_is_refused_at_the_start() {
    let mut symmetric = pair(Algorithm::ES256, "s");
    symmetric.jwk = json!({"kty": "oct", "kid": "s", "k": "c2VjcmV0", "alg": "HS256"});
    let mut for_encryption = pair(Algorithm::RS256, "e");
    for_encryption.jwk["use"] = json!("enc");
    let mut for_another_algorithm = pair(Algorithm::RS256, "a");
    for_another_algorithm.jwk["alg"] = json!("ES256");
    for pair in [symmetric, for_encryption, for_another_algorithm] {
        assert!(matches!(JwksFile::with(&[&pair]).authenticator(), Err(KeysError::Empty { .. })));
    }
}
