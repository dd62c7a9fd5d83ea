use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use protocol::authorise::Identity;
use serde_json::{Value, json};

use super::*;
use crate::config::{Keys, Secret};

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

fn with_secret() -> Authenticator {
    let issuer = Issuer { name: "idp".to_owned(), audience: None, keys: Keys::Secret(Secret::from(SECRET)) };
    Authenticator::new(&[issuer], 100, Duration::ZERO).unwrap()
}

fn check(authenticator: &Authenticator, token: &str) -> Result<Arc<Caller>, TokenError> {
    authenticator.authenticate(token, now(), Duration::ZERO).map(|authenticated| authenticated.caller)
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
        Algorithm::RS256 => EncodingKey::from_rsa_pem(pair.pem.as_bytes()).unwrap(),
        Algorithm::ES256 => EncodingKey::from_ec_pem(pair.pem.as_bytes()).unwrap(),
        _ => EncodingKey::from_ed_pem(pair.pem.as_bytes()).unwrap(),
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
        Algorithm::RS256 => &["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
        Algorithm::ES256 => &["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
        _ => &["genpkey", "-algorithm", "ED25519"],
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

use jsonwebtoken::jwk::Jwk;

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
        Authenticator::new(&[Issuer { name: "idp".to_owned(), audience: None, keys }], 100, Duration::ZERO)
    }
}

#[test]
fn a_good_token_says_who_calls_and_prefixes_of_scopes_go() {
    let caller = check(&with_secret(), &hs256(&claims(&json!({})), SECRET)).unwrap();
    assert_eq!(caller.identity, Identity::Application);
    assert!(caller.scopes.contains("notifications.telephony.write") && caller.scopes.contains("openid"));
    assert_eq!(caller.client_id.unwrap().as_str(), "app");
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
    let pairs = [pair(Algorithm::RS256, "r"), pair(Algorithm::ES256, "e"), pair(Algorithm::EdDSA, "d")];
    let file = JwksFile::with(&pairs.each_ref());
    let authenticator = file.authenticator().unwrap();
    for (pair, kid) in pairs.iter().zip(["r", "e", "d"]) {
        assert!(check(&authenticator, &signed(pair, Some(kid))).is_ok(), "{:?}", pair.algorithm);
    }
    assert_eq!(check(&authenticator, &signed(&pairs[1], Some("r"))), Err(TokenError::Algorithm), "algorithm confusion");
    assert!(matches!(check(&authenticator, &signed(&pairs[0], None)), Err(TokenError::UnknownKey(_))));
    assert!(matches!(check(&authenticator, &signed(&pairs[0], Some("other"))), Err(TokenError::UnknownKey(_))));
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
    let at = |shift| authenticator.authenticate(&token, Timestamp::from_second(second(shift)).unwrap(), Duration::ZERO);
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
    let issuer =
        Issuer { name: "idp".to_owned(), audience: Some("bellwire".to_owned()), keys: Keys::Secret(Secret::from(SECRET)) };
    let authenticator = Authenticator::new(&[issuer], 100, Duration::ZERO).unwrap();
    let of = |audience: Value| check(&authenticator, &hs256(&claims(&json!({"aud": audience})), SECRET));
    assert!(of(json!("bellwire")).is_ok() && of(json!(["x", "bellwire"])).is_ok());
    for audience in [json!("other"), json!([]), json!(null)] {
        assert_eq!(of(audience), Err(TokenError::Audience));
    }
    assert!(check(&with_secret(), &hs256(&claims(&json!({"aud": "anything"})), SECRET)).is_ok());
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

#[test]
fn a_key_that_left_the_set_ends_its_tokens_and_a_new_one_is_found_by_its_name() {
    let (old, new) = (pair(Algorithm::ES256, "old"), pair(Algorithm::ES256, "new"));
    let file = JwksFile::with(&[&old]);
    let authenticator = file.authenticator().unwrap();
    let check_at = |token: &str, seconds| authenticator.authenticate(token, now(), Duration::from_secs(seconds)).map(|_| ());
    let (old_token, new_token) = (signed(&old, Some("old")), signed(&new, Some("new")));
    assert_eq!(check_at(&old_token, 1), Ok(()));
    file.write(&[&new]);
    assert!(matches!(check_at(&new_token, 29), Err(TokenError::UnknownKey(_))), "not read again so soon");
    assert_eq!(check_at(&new_token, 30), Ok(()));
    assert!(matches!(check_at(&old_token, 31), Err(TokenError::UnknownKey(_))), "remembered, but its key is gone");

    std::fs::write(file.folder.path().join("jwks.json"), "{").unwrap();
    authenticator.refresh_keys(Duration::from_secs(90));
    assert_eq!(check_at(&new_token, 91), Ok(()), "the last good keys go on");
}

#[test]
fn a_set_without_a_usable_key_is_refused_at_the_start() {
    let mut symmetric = pair(Algorithm::ES256, "s");
    symmetric.jwk = json!({"kty": "oct", "kid": "s", "k": "c2VjcmV0", "alg": "HS256"});
    let mut for_encryption = pair(Algorithm::RS256, "e");
    for_encryption.jwk["use"] = json!("enc");
    let mut for_another_algorithm = pair(Algorithm::RS256, "a");
    for_another_algorithm.jwk["alg"] = json!("RS512");
    for pair in [symmetric, for_encryption, for_another_algorithm] {
        assert!(matches!(JwksFile::with(&[&pair]).authenticator(), Err(KeysError::Empty { .. })));
    }
}
