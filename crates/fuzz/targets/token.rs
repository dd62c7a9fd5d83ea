//! Tokens: any bytes, and tokens that are good but for some things. What is taken is good by RFC 7515 and 7519, found out here
//! without the program's own code; what is good is taken; and the caller is who the token says.
#![no_main]

use std::collections::BTreeSet;
use std::sync::LazyLock;

use arbitrary::Arbitrary;
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use protocol::authorise::{Caller, Identity};
use serde_json::{Map, Value, json};
use server::config::{ConfigSecret, Issuer, Keys};
use server::fuzzing::Verifier;

const SECRET: &str = "a-secret-of-at-least-32-characters!";
const NOW: i64 = 1_800_000_000;
const LEEWAY: f64 = 60.0;
const TOKEN_BYTES_MAX: usize = 8 * 1024;

static KEY: LazyLock<Ed25519KeyPair> = LazyLock::new(|| Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap());
static OTHER_KEY: LazyLock<Ed25519KeyPair> = LazyLock::new(|| Ed25519KeyPair::from_seed_unchecked(&[8; 32]).unwrap());

/// An issuer with a secret, and one with a key set, which also asks for its audience.
static TRUSTING: LazyLock<Verifier> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jwks.json");
    let x = URL_SAFE_NO_PAD.encode(KEY.public_key().as_ref());
    let keys = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k", "use": "sig", "x": x}]});
    std::fs::write(&file, keys.to_string()).unwrap();
    let secret = Issuer { name: "secret".to_owned(), audience: None, keys: Keys::Secret(ConfigSecret::from(SECRET)) };
    let keys = Issuer { name: "keys".to_owned(), audience: Some("us".to_owned()), keys: Keys::JwksFile(file) };
    Verifier::trusting(vec![secret, keys]).unwrap()
});

#[derive(Debug, Arbitrary)]
enum Sent {
    Text(String),
    Token { almost: Almost, changes: Vec<(u16, u8)> },
}

/// A token that is good where nothing was chosen that is not.
#[derive(Debug, Arbitrary)]
struct Almost {
    signed: Signed,
    algorithm: Option<Algorithm>,
    key_id: Option<Text>,
    critical: bool,
    issuer: Option<String>,
    audience: Option<Vec<Text>>,
    expires: Moment,
    not_before: Option<Moment>,
    names: Vec<(Name, Text)>,
    more: Option<(String, i32)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Arbitrary)]
enum Signed {
    BySecret,
    ByKey,
    ByAnotherSecret,
    ByAnotherKey,
    /// The public key taken for a secret.
    ByPublicKey,
    ByNobody,
}

#[derive(Debug, Arbitrary)]
enum Algorithm {
    None,
    Hs256,
    Hs384,
    Rs256,
    EdDsa,
}

#[derive(Debug, Arbitrary)]
enum Moment {
    /// Seconds from now.
    Near(i8),
    At(f64),
    Text(u8),
}

#[derive(Debug, Arbitrary)]
enum Text {
    Good,
    Other(String),
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Name {
    ClientId,
    Azp,
    Scope,
    Customer,
    ClientCode,
    Negotiator,
    UserCode,
    Product,
}

impl Name {
    fn claim(self) -> (&'static str, &'static str) {
        match self {
            Self::ClientId => ("client_id", "app"),
            Self::Azp => ("azp", "app"),
            Self::Scope => ("scope", "agencyCloud/notifications.telephony.write openid"),
            Self::Customer => ("customerId", "SBOX"),
            Self::ClientCode => ("custom:reapit:clientCode", "SBOX-GRP"),
            Self::Negotiator => ("negotiatorId", "ADV"),
            Self::UserCode => ("custom:reapit:userCode", "ADV"),
            Self::Product => ("product", "PropertyCloud"),
        }
    }
}

fn text(text: &Text, good: &str) -> Value {
    match text {
        Text::Good => json!(good),
        Text::Other(other) => json!(other),
    }
}

fn moment(moment: &Moment) -> Value {
    match moment {
        Moment::Near(shift) => json!(NOW + i64::from(*shift)),
        Moment::At(seconds) => json!(seconds),
        Moment::Text(number) => json!(number.to_string()),
    }
}

impl Almost {
    fn head(&self) -> Value {
        let algorithm = match (&self.algorithm, self.signed) {
            (Some(Algorithm::None), _) | (None, Signed::ByNobody) => "none",
            (Some(Algorithm::Hs384), _) => "HS384",
            (Some(Algorithm::Rs256), _) => "RS256",
            (Some(Algorithm::Hs256), _) | (None, Signed::BySecret | Signed::ByAnotherSecret | Signed::ByPublicKey) => "HS256",
            (Some(Algorithm::EdDsa), _) | (None, Signed::ByKey | Signed::ByAnotherKey) => "EdDSA",
        };
        let mut head = Map::from_iter([("typ".to_owned(), json!("JWT")), ("alg".to_owned(), json!(algorithm))]);
        if let Some(id) = &self.key_id {
            head.insert("kid".to_owned(), text(id, "k"));
        }
        if self.critical {
            head.insert("crit".to_owned(), json!(["exp"]));
        }
        Value::Object(head)
    }

    fn claims(&self) -> Value {
        let own = if self.signed == Signed::BySecret { "secret" } else { "keys" };
        let issuer = self.issuer.as_deref().unwrap_or(own);
        let mut claims = Map::from_iter([("iss".to_owned(), json!(issuer)), ("exp".to_owned(), moment(&self.expires))]);
        match self.audience.as_deref() {
            None => claims.insert("aud".to_owned(), json!("us")),
            Some([one]) => claims.insert("aud".to_owned(), text(one, "us")),
            Some(many) => claims.insert("aud".to_owned(), many.iter().map(|one| text(one, "us")).collect()),
        };
        if let Some(begin) = &self.not_before {
            claims.insert("nbf".to_owned(), moment(begin));
        }
        for (name, value) in &self.names {
            let (claim, good) = name.claim();
            claims.insert(claim.to_owned(), text(value, good));
        }
        if let Some((name, number)) = &self.more {
            claims.insert(name.clone(), json!(number));
        }
        Value::Object(claims)
    }

    fn token(&self) -> String {
        let part = |json: Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let said = format!("{}.{}", part(self.head()), part(self.claims()));
        let by = |secret: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), said.as_bytes()).as_ref().to_vec();
        let signature = match self.signed {
            Signed::BySecret => by(SECRET.as_bytes()),
            Signed::ByAnotherSecret => by(b"another secret of 32 characters!!"),
            Signed::ByPublicKey => by(KEY.public_key().as_ref()),
            Signed::ByKey => KEY.sign(said.as_bytes()).as_ref().to_vec(),
            Signed::ByAnotherKey => OTHER_KEY.sign(said.as_bytes()).as_ref().to_vec(),
            Signed::ByNobody => Vec::new(),
        };
        format!("{said}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// The claims of a token whose signature is right and that is for us, now.
fn good(token: &str) -> Option<Value> {
    let (said, signature) = token.rsplit_once('.')?;
    let (head, claims) = said.split_once('.')?;
    let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
    let json = |part: &str| serde_json::from_slice::<Value>(&decoded(part)?).ok();
    let (head, claims, signature) = (json(head)?, json(claims)?, decoded(signature)?);
    let signed = match (claims["iss"].as_str()?, head["alg"].as_str()?) {
        ("secret", "HS256") => {
            hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), said.as_bytes(), &signature).is_ok()
        }
        ("keys", "EdDSA") => {
            let key = UnparsedPublicKey::new(&ED25519, KEY.public_key().as_ref());
            let audience = &claims["aud"];
            let for_us = *audience == "us" || audience.as_array().is_some_and(|many| many.contains(&json!("us")));
            let named = head["kid"].is_null() || head["kid"] == "k";
            for_us && named && key.verify(said.as_bytes(), &signature).is_ok()
        }
        _ => false,
    };
    let now = NOW as f64;
    let begun = claims["nbf"].is_null() || claims["nbf"].as_f64()?.trunc() - LEEWAY <= now;
    let lasts = claims["exp"].as_f64()?.trunc() + LEEWAY > now;
    (signed && begun && lasts && head["crit"].is_null() && token.len() <= TOKEN_BYTES_MAX).then_some(claims)
}

/// Whom the claims name: client, customer, negotiator; `None` where a name is not one.
fn names(claims: &Value) -> Option<[Option<String>; 3]> {
    let of = |names: [&str; 2], rule: fn(&str) -> bool| -> Option<Option<String>> {
        let found = names.iter().map(|name| &claims[*name]).find(|value| !value.is_null());
        found.map(|name| name.as_str().filter(|name| rule(name)).map(str::to_owned)).map_or(Some(None), |name| name.map(Some))
    };
    let client =
        of(["client_id", "azp"], |name| (1..=128).contains(&name.len()) && name.bytes().all(|byte| (33..127).contains(&byte)))?;
    let customer = of(["customerId", "custom:reapit:clientCode"], |name| {
        let parts: Vec<_> = name.split('-').collect();
        parts.len() <= 2 && parts.iter().all(|part| is_code(part))
    })?;
    let negotiator = of(["negotiatorId", "custom:reapit:userCode"], is_code)?;
    (negotiator.is_none() || customer.is_some()).then_some([client, customer, negotiator])
}

fn is_code(text: &str) -> bool {
    (2..=16).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric())
}

fn check_caller(caller: &Caller, claims: &Value) {
    let (customer, negotiator) = match caller.identity {
        Identity::Application => (None, None),
        Identity::Customer(customer) => (Some(customer.to_string()), None),
        Identity::Person(person, product) => {
            let named = claims["product"].as_str().or(claims["custom:reapit:orgProduct"].as_str());
            assert_eq!(product.as_str(), named.unwrap_or("AgencyCloud"));
            (Some(person.customer.to_string()), Some(person.negotiator.to_string()))
        }
    };
    let client = caller.client_id().map(|client| client.to_string());
    assert_eq!(names(claims), Some([client, customer, negotiator]), "who calls");
    let scopes = claims["scope"].as_str().unwrap_or_default().split_ascii_whitespace();
    let scopes: BTreeSet<_> = scopes.map(|scope| scope.strip_prefix("agencyCloud/").unwrap_or(scope).to_owned()).collect();
    assert_eq!(caller.scopes, scopes);
}

/// Whether nothing was chosen of which the program may say that it is malformed.
fn is_well_formed(almost: &Almost, claims: &Value) -> bool {
    let product = claims["product"].as_str().unwrap_or("AgencyCloud");
    let is_product = (1..=32).contains(&product.len()) && product.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let in_reach = |claim: &str| claims[claim].as_f64().is_none_or(|at| (0.0..=253_402_207_200.0).contains(&at.trunc()));
    almost.more.is_none() && is_product && in_reach("exp") && in_reach("nbf") && names(claims).is_some()
}

fuzz_target!(|sent: Sent| {
    let token = match &sent {
        Sent::Text(text) => text.clone(),
        Sent::Token { almost, changes } => {
            let mut token = almost.token().into_bytes();
            for (place, byte) in changes {
                let place = usize::from(*place) % token.len();
                token[place] = *byte & 0x7f;
            }
            String::from_utf8(token).unwrap()
        }
    };
    let now = Timestamp::from_second(NOW).unwrap();
    let outcome = TRUSTING.authenticate(&token, now);
    match (&outcome, good(&token)) {
        (Ok((caller, _)), claims) => {
            let Some(claims) = claims else { panic!("taken, but not good: {token}: {sent:?}") };
            check_caller(caller, &claims);
            let again = TRUSTING.authenticate(&token, now).expect("taken at first");
            assert_eq!(again.0, *caller, "the same caller");
            assert!(TRUSTING.authenticate(&token, Timestamp::MAX).is_err(), "it ends also when remembered");
        }
        (Err(refusal), Some(claims)) => {
            if let Sent::Token { almost, changes } = &sent {
                assert!(!changes.is_empty() || !is_well_formed(almost, &claims), "good, but refused: {refusal}: {claims}");
            }
        }
        (Err(refusal), None) => {
            assert_eq!(TRUSTING.authenticate(&token, now).unwrap_err(), *refusal, "refused again");
        }
    }
});
