//! Who works where. Desktops are numbered through; the first four fifths are one for each negotiator, the others are second
//! devices of the first negotiators.

use std::fmt;

use anyhow::Result;
use jiff::Timestamp;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};

/// How many negotiators a customer has.
pub(crate) const STAFF: usize = 100;
/// For how long tokens are good.
const TOKEN_SECONDS: i64 = 3600;

/// A negotiator, numbered through over all customers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Negotiator(pub(crate) usize);

/// All who take part.
#[derive(Debug, Clone, Copy)]
pub(crate) struct People {
    desktops: usize,
}

impl People {
    pub(crate) fn new(desktops: usize) -> Self {
        Self { desktops: desktops.max(1) }
    }

    pub(crate) fn desktops(self) -> usize {
        self.desktops
    }

    pub(crate) fn negotiators(self) -> usize {
        (self.desktops * 4).div_ceil(5)
    }

    /// Who sits at a desktop, and at which of their devices.
    pub(crate) fn at(self, desktop: usize) -> (Negotiator, &'static str) {
        match desktop.checked_sub(self.negotiators()) {
            None => (Negotiator(desktop), "desk"),
            Some(second) => (Negotiator(second), "laptop"),
        }
    }

    /// The desktops of a negotiator.
    pub(crate) fn of(self, Negotiator(number): Negotiator) -> impl Iterator<Item = usize> {
        [number, self.negotiators() + number].into_iter().filter(move |desktop| *desktop < self.desktops)
    }

    /// `count` colleagues of a negotiator, they included.
    pub(crate) fn group(self, Negotiator(number): Negotiator, count: usize) -> Vec<Negotiator> {
        let first = number - number % STAFF;
        let staff = STAFF.min(self.negotiators() - first);
        (0..count.min(staff)).map(|place| Negotiator(first + (number - first + place) % staff)).collect()
    }
}

impl Negotiator {
    pub(crate) fn customer(self) -> String {
        format!("C{:03}", self.0 / STAFF)
    }
}

impl fmt::Display for Negotiator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "N{:02}", self.0 % STAFF)
    }
}

/// The secret with which the broker's development tokens are signed.
#[derive(Clone)]
pub(crate) struct Signer(EncodingKey);

impl Signer {
    pub(crate) fn new(secret: &str) -> Self {
        Self(EncodingKey::from_secret(secret.as_bytes()))
    }

    pub(crate) fn person(&self, customer: &str, negotiator: &str) -> Result<String> {
        self.sign(json!({"customerId": customer, "negotiatorId": negotiator}))
    }

    pub(crate) fn application(&self) -> Result<String> {
        self.sign(json!({"client_id": "loadtest", "scope": "notifications.telephony.write notifications.telephony.read"}))
    }

    /// An application that subscribes and reports.
    pub(crate) fn reporter(&self) -> Result<String> {
        self.sign(json!({"client_id": "loadtest", "scope": "contacts.read events.reapit.write"}))
    }

    fn sign(&self, mut claims: Value) -> Result<String> {
        if let Some(claims) = claims.as_object_mut() {
            claims.insert("iss".to_owned(), json!("dev"));
            claims.insert("exp".to_owned(), json!(Timestamp::now().as_second() + TOKEN_SECONDS));
        }
        Ok(encode(&Header::default(), &claims, &self.0)?)
    }
}
