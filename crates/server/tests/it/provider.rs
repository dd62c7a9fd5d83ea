//! An identity provider over real sockets, in the layout of OpenID Connect: what it tells of itself, its keys, tokens signed with them.

use std::io::Write;
use std::process::{Command, Stdio};

use jiff::Timestamp;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use server::config::{Config, Flags};

use crate::receiver::{Receiver, Reply};

pub(crate) const DISCOVERY: &str = "/.well-known/openid-configuration";
/// Where discovery says that the keys are.
pub(crate) const KEYS: &str = "/oauth/v2/keys";
/// Where others have them.
pub(crate) const PLAIN: &str = "/.well-known/jwks.json";

/// A key that a provider signs with, made by openssl.
pub(crate) struct SigningKey {
    kid: String,
    key: EncodingKey,
    pub(crate) jwk: Value,
}

impl SigningKey {
    pub(crate) fn new(kid: &str) -> Self {
        let pem = openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]);
        let key = EncodingKey::from_ec_pem(pem.as_bytes()).unwrap();
        let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap()).unwrap();
        jwk.as_object_mut().unwrap().extend([("kid".to_owned(), json!(kid)), ("use".to_owned(), json!("sig"))]);
        Self { kid: kid.to_owned(), key, jwk }
    }

    /// A token of a person, with these claims besides.
    pub(crate) fn token(&self, issuer: &str, claims: &Value) -> String {
        let exp = Timestamp::now().as_second() + 3600;
        let mut all = json!({"iss": issuer, "exp": exp, "customerId": "SBOX", "negotiatorId": "ADV"});
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        let header = Header { kid: Some(self.kid.clone()), ..Header::new(Algorithm::ES256) };
        encode(&header, &all, &self.key).unwrap()
    }
}

fn openssl(arguments: &[&str]) -> String {
    let child = Command::new("openssl").args(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    String::from_utf8(child.expect("openssl is installed").wait_with_output().unwrap().stdout).unwrap()
}

/// Listens until it is dropped.
pub(crate) struct Provider {
    pub(crate) receiver: Receiver,
    pub(crate) issuer: String,
}

impl Provider {
    /// On this machine, where `http` is allowed.
    pub(crate) async fn start(keys: &[&SigningKey]) -> Self {
        let receiver = Receiver::start().await;
        let issuer = receiver.url("");
        Self::with(receiver, issuer, keys)
    }

    /// By `https`. Returns a file with the certificate of the authority that signed its own as well.
    pub(crate) async fn start_tls(keys: &[&SigningKey]) -> (Self, tempfile::NamedTempFile) {
        let (receiver, pem) = Receiver::start_tls(&["localhost"]).await;
        let issuer = receiver.url_at("localhost", "");
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(pem.as_bytes()).unwrap();
        (Self::with(receiver, issuer, keys), file)
    }

    fn with(receiver: Receiver, issuer: String, keys: &[&SigningKey]) -> Self {
        let provider = Self { receiver, issuer };
        provider.tell_of_itself(&provider.issuer, &format!("{}{KEYS}", provider.issuer));
        provider.publish(keys);
        provider
    }

    /// What discovery answers from now on.
    pub(crate) fn tell_of_itself(&self, issuer: &str, jwks_uri: &str) {
        let document = json!({"issuer": issuer, "jwks_uri": jwks_uri, "token_endpoint": format!("{issuer}/token")});
        self.receiver.usually(DISCOVERY, Reply::Raw(ok(&document.to_string())));
    }

    /// Which keys there are from now on.
    pub(crate) fn publish(&self, keys: &[&SigningKey]) {
        for path in [KEYS, PLAIN] {
            self.receiver.usually(path, Reply::Raw(key_set(keys)));
        }
    }

    /// How often the keys were fetched.
    pub(crate) fn readings(&self) -> usize {
        self.receiver.received(KEYS).len()
    }

    /// A table of the configuration that has the keys come by discovery.
    pub(crate) fn by_discovery(&self) -> String {
        format!("[[auth.issuers]]\nissuer = {:?}\ndiscovery = true\n", self.issuer)
    }

    /// One that has them come from a URL.
    pub(crate) fn by_url(&self) -> String {
        format!("[[auth.issuers]]\nissuer = {:?}\njwks_url = \"{}{PLAIN}\"\n", self.issuer, self.issuer)
    }
}

/// An answer with these keys.
pub(crate) fn key_set(keys: &[&SigningKey]) -> Vec<u8> {
    let keys: Vec<_> = keys.iter().map(|key| &key.jwk).collect();
    ok(&json!({"keys": keys}).to_string())
}

pub(crate) fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// Makes a node trust those whom a configuration names.
pub(crate) fn trusting(file: &str) -> impl FnOnce(&mut Config) {
    let read = Config::from_parts(file, std::iter::empty(), &Flags { dev: true, ..Flags::default() }).unwrap();
    move |config| {
        config.issuers = read.issuers;
        config.issuers_ca_file = read.issuers_ca_file;
    }
}
