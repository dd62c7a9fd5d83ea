//! Which connectors there are, and what each knows of its calls.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use connectors::state::{ConnectorState, SavedConnector};
use connectors::vendor::{SecretPlace, Vendor};
use jiff::Timestamp;
use protocol::authorise::{Caller, Identity, Scope};
use protocol::envelope::PRODUCTS_MAX;
use protocol::fault::Faults;
use protocol::id::{ClientId, ConnectorId, CustomerId, NegotiatorId, Product};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use store::Store;
use store::documents::Kind;
use store::error::StoreError;

use crate::documents::Documents;
use crate::speaker::{Authority, Speaker};

/// How long a secret is at least and at most, in characters.
const SECRET_CHARACTERS: std::ops::RangeInclusive<usize> = 16..=128;
/// For how many negotiators a connector itself can say that calls ring.
const NEGOTIATORS_MAX: usize = 100;

/// Whose callbacks a connector takes, and for whom; as an operator writes it.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewConnector {
    /// The system that calls back.
    pub vendor: Vendor,
    /// Whose telephones they are.
    pub customer: CustomerId,
    /// The products that are told; left out: all.
    #[serde(default)]
    pub products: Vec<Product>,
    /// For whom calls ring, where the system names nobody.
    #[serde(default)]
    pub negotiators: Vec<NegotiatorId>,
    /// What the system must show.
    pub secret: String,
}

/// The same, as it is kept: the secret as its hash alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Setting {
    /// The system that calls back.
    pub vendor: Vendor,
    /// Whose telephones they are.
    pub customer: CustomerId,
    /// The products that are told.
    pub products: Vec<Product>,
    /// For whom calls ring, where the system names nobody.
    pub negotiators: Vec<NegotiatorId>,
    secret_sha256: SecretHash,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct SecretHash([u8; 32]);

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Debug for NewConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewConnector").field("vendor", &self.vendor).field("customer", &self.customer).finish_non_exhaustive()
    }
}

impl NewConnector {
    /// What is kept, or everything that is wrong; `known` are the products of the node.
    ///
    /// # Errors
    /// The faults, each with its path.
    pub fn checked(self, known: &[Product]) -> Result<Setting, Faults> {
        let Self { vendor, customer, products, negotiators, secret } = self;
        let mut faults = Faults::default();
        for (place, product) in products.iter().enumerate().filter(|(_, product)| !known.contains(product)) {
            faults.add(format!("products[{place}]"), format!("{product} is not known here"));
        }
        if products.len() > PRODUCTS_MAX {
            faults.add("products", format!("must have at most {PRODUCTS_MAX} entries, got {}", products.len()));
        }
        match (vendor.names_nobody(), negotiators.len()) {
            (true, 0) => faults.add("negotiators", format!("is required: the callbacks of {vendor} name nobody")),
            (true, 1..=NEGOTIATORS_MAX) | (false, 0) => {}
            (true, length) => faults.add("negotiators", format!("must have at most {NEGOTIATORS_MAX} entries, got {length}")),
            (false, _) => faults.add("negotiators", format!("is not for {vendor}, whose callbacks say for whom a call rings")),
        }
        let is_plain = match vendor.secret_place() {
            SecretPlace::Header(_) => secret.bytes().all(|b| b.is_ascii_graphic()),
            SecretPlace::Path => secret.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)),
        };
        if !SECRET_CHARACTERS.contains(&secret.len()) || !is_plain {
            let of = match vendor.secret_place() {
                SecretPlace::Header(_) => "visible ASCII",
                SecretPlace::Path => "of A-Z a-z 0-9 _ -, since it stands in the URL",
            };
            let (least, most) = (SECRET_CHARACTERS.start(), SECRET_CHARACTERS.end());
            faults.add("secret", format!("must be {least} to {most} characters {of}"));
        }
        let products = if products.is_empty() { known.iter().copied().take(PRODUCTS_MAX).collect() } else { products };
        let secret_sha256 = SecretHash(Sha256::digest(secret).into());
        let setting = Setting { vendor, customer, products, negotiators, secret_sha256 };
        if faults.is_empty() { Ok(setting) } else { Err(faults) }
    }
}

impl Setting {
    /// Whether this is the secret; takes as long whatever is wrong with it, since hashes are compared.
    #[must_use]
    pub fn admits(&self, secret: Option<&[u8]>) -> bool {
        secret.is_some_and(|secret| <[u8; 32]>::from(Sha256::digest(secret)) == self.secret_sha256.0)
    }
}

/// A connector that takes callbacks.
#[derive(Debug)]
pub struct Connector {
    /// Its name in the path.
    pub id: ConnectorId,
    /// Whose callbacks it takes.
    pub setting: Setting,
    /// Held while a callback is done: one after another, since each depends on what was before.
    pub(crate) state: tokio::sync::Mutex<ConnectorState>,
    /// As whom it posts; `None`: its name is none that an application can have.
    caller: Option<Arc<Caller>>,
}

impl Connector {
    fn new(id: ConnectorId, setting: Setting) -> Self {
        let caller = ClientId::parse(&format!("connector:{id}")).ok().map(|client_id| Caller {
            client_id: Some(Box::new(client_id)),
            scopes: [Scope::TelephonyWrite.name().to_owned()].into(),
            identity: Identity::Customer(setting.customer),
            expires: Timestamp::MAX,
        });
        Self { id, setting, state: tokio::sync::Mutex::default(), caller: caller.map(Arc::new) }
    }

    /// What an operator sees of it: all but the secret.
    #[must_use]
    pub fn shown(&self) -> serde_json::Value {
        let Setting { vendor, customer, products, negotiators, .. } = &self.setting;
        let id = self.id;
        serde_json::json!({"id": id, "vendor": vendor, "customer": customer, "products": products, "negotiators": negotiators})
    }

    /// For whom it posts.
    pub(crate) fn speaker(&self) -> Option<Speaker> {
        let caller = self.caller.clone()?;
        Some(Speaker { caller, customer: self.setting.customer, authority: Authority::Connector })
    }
}

/// All connectors.
#[derive(Debug)]
pub struct Connectors(Documents<ConnectorId, Connector>);

impl Connectors {
    /// Reads them all; one that cannot be read is left out and logged.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn load(store: &Store) -> Result<Self, StoreError> {
        let read = |id: &str, setting| ConnectorId::parse(id).ok().map(|id| (id, Connector::new(id, setting)));
        Documents::load(store, Kind::Connector, read).await.map(Self)
    }

    /// The connector of this name.
    #[must_use]
    pub fn find(&self, id: &ConnectorId) -> Option<Arc<Connector>> {
        self.0.find(id)
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Connector>> {
        self.0.all().into_iter().map(|(_, connector)| connector).collect()
    }

    /// What the next run needs to know of each.
    #[must_use]
    pub fn save(&self, now: Duration) -> Vec<(ConnectorId, SavedConnector)> {
        // One whose callback is still being done is left out: at a shutdown none is.
        let save = |connector: Arc<Connector>| Some((connector.id, connector.state.try_lock().ok()?.save(now)));
        self.all().into_iter().filter_map(save).collect()
    }

    /// Takes up what an earlier run knew of one.
    pub fn restore(&self, id: &ConnectorId, saved: SavedConnector, now: Duration) {
        if let Some(connector) = self.find(id)
            && let Ok(mut state) = connector.state.try_lock()
        {
            *state = ConnectorState::restore(saved, now);
        }
    }

    /// Forgets the calls of a customer, or those that one of its negotiators has to do with. Gives how many. Waits for callbacks that
    /// are being done.
    pub(crate) async fn forget_calls(&self, customer: CustomerId, negotiator: Option<NegotiatorId>) -> usize {
        let mut forgotten = 0;
        for connector in self.all().iter().filter(|connector| connector.setting.customer == customer) {
            forgotten += connector.state.lock().await.forget(negotiator.as_ref().map(NegotiatorId::as_str));
        }
        forgotten
    }

    /// Adds a connector, or replaces one, which forgets its calls. Durable when it returns.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn put(&self, store: &Store, id: ConnectorId, setting: Setting) -> Result<(), StoreError> {
        self.0.put(store, id, |_before| (setting.clone(), Connector::new(id, setting))).await
    }

    /// Takes a connector away; gives whether there was one.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn remove(&self, store: &Store, id: &ConnectorId) -> Result<bool, StoreError> {
        self.0.remove(store, id).await
    }
}
