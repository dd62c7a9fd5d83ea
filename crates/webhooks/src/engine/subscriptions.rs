//! Subscriptions: made, changed, taken away. One change at a time; on disk first, then in memory.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};
use jiff::SignedDuration;
use protocol::id::{ClientId, CustomerId};
use protocol::json;
use store::documents::Kind;
use store::error::StoreError;
use store::webhooks::DeliveryState;

use crate::book::{Book, Endpoint};
use crate::engine::{Engine, EngineError, Shown};
use crate::profile::{Profile, Proof};
use crate::seal::Unopened;
use crate::sign::{Secret, Signer};
use crate::subscription::{KeptSecret, Subscription, Wish, callback_url};
use crate::url::CallbackUrl;

/// For how long an old secret can stay valid beside a new one.
pub const GRACE_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// Who asks: an application, for all of its customers or for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The application.
    pub application: ClientId,
    /// The customer for whom alone it speaks.
    pub bound_to: Option<CustomerId>,
    /// Whether it is an operator, for a customer.
    pub by_operator: bool,
}

/// The secrets of a subscription as its owner gives them.
#[derive(Debug, Default)]
pub struct Given {
    /// What its deliveries are signed with.
    pub secret: Option<Secret>,
    /// Headers that each request carries; those of before stay where there are none.
    pub headers: Option<Headers>,
}

/// Names and values of headers.
pub type Headers = Vec<(String, String)>;

impl Owner {
    fn sees(&self, subscription: &Subscription) -> bool {
        let is_own = subscription.application == self.application && subscription.deleted.is_none();
        let is_own = is_own && subscription.by_operator == self.by_operator;
        is_own && self.bound_to.is_none_or(|customer| subscription.wish.customer_ids == [customer])
    }
}

/// Why a change was not made.
#[derive(Debug)]
pub enum ChangeError {
    /// There is no such subscription of this owner.
    Unknown,
    /// The application has, or all have, so many already.
    TooMany(usize),
    /// The subscription's profile knows no secrets.
    NoSecret(&'static str),
    /// The subscription is disabled, and its profile has no way back.
    NotRevivable,
    /// The store did not take it.
    Store(StoreError),
    /// A secret could not be made or sealed.
    Seal(Unopened),
}

impl From<StoreError> for ChangeError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Unopened> for ChangeError {
    fn from(error: Unopened) -> Self {
        Self::Seal(error)
    }
}

impl Engine {
    /// The subscriptions that `owner` sees, in the order in which they were made; all where there is no owner.
    #[must_use]
    pub fn subscriptions(&self, owner: Option<&Owner>) -> Vec<Shown> {
        let book = self.book();
        let seen = book.endpoints().filter(|endpoint| match owner {
            Some(owner) => owner.sees(&endpoint.subscription),
            None => endpoint.subscription.deleted.is_none(),
        });
        seen.map(|endpoint| self.show(endpoint, None)).collect()
    }

    /// How many subscriptions there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.book().endpoints().filter(|endpoint| endpoint.subscription.deleted.is_none()).count()
    }

    /// One subscription.
    #[must_use]
    pub fn subscription(&self, id: &str, owner: Option<&Owner>) -> Option<Shown> {
        self.seen(id, owner).map(|endpoint| self.show(&endpoint, None))
    }

    /// The topics that a subscription is about, those of a whole catalogue one by one.
    #[must_use]
    pub fn topics_of(&self, id: &str) -> Vec<String> {
        let Some(endpoint) = self.find(id) else { return Vec::new() };
        let topics = endpoint.subscription.wish.topics(&self.shared.catalogues);
        topics.into_iter().map(|topic| topic.id.clone()).collect()
    }

    pub(super) fn seen(&self, id: &str, owner: Option<&Owner>) -> Option<Arc<Endpoint>> {
        self.find(id).filter(|endpoint| owner.is_none_or(|owner| owner.sees(&endpoint.subscription)))
    }

    /// What the owner of a subscription asked for last.
    #[must_use]
    pub fn wish(&self, id: &str, owner: &Owner) -> Option<Wish> {
        self.seen(id, Some(owner)).map(|endpoint| endpoint.subscription.wish.clone())
    }

    /// Makes a subscription, with a secret of its own unless one is given. What is shown holds the secret, this once.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn create(&self, owner: Owner, wish: Wish, given: Given) -> Result<Shown, ChangeError> {
        let Owner { application, bound_to, by_operator } = owner;
        let _changing = self.shared.changes.lock().await;
        let number = self.check_room(&application, by_operator)?;
        self.ensure_signing_key(application).await?;
        let (id, now) = (self.new_id().hyphenated(), self.now());
        let profile = Profile::find(&wish.profile);
        let has_secret = profile.is_some_and(|profile| profile.proofs.contains(&Proof::StandardWebhooks));
        let secret = if has_secret { Some(given.secret.or_else(Secret::generate).ok_or(Unopened)?) } else { None };
        let secrets = secret.iter().map(|secret| self.keep(secret, &id)).collect::<Result<_, _>>()?;
        let headers = given.headers.map(|headers| self.keep_headers(&headers, &id)).transpose()?;
        let (created, modified, deleted) = (now, now, None);
        let subscription =
            Subscription { number, id, application, bound_to, by_operator, wish, secrets, headers, created, modified, deleted };
        self.check_revivable(&self.prepare(subscription.clone())?)?;
        let endpoint = self.write_subscription(subscription).await?;
        tracing::info!(subscription = %endpoint.subscription.id, %application, url = endpoint.url.authority(), "subscribed");
        Ok(self.show(&endpoint, secret.as_ref()))
    }

    /// Keeps others from changing subscriptions by a vendor's contract while this is held.
    pub async fn exclusively(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.shared.by_contract.lock().await
    }

    /// Whether a subscription is what is asked for already.
    #[must_use]
    pub fn stands(&self, id: &str, owner: &Owner, wish: &Wish, headers: &Headers) -> bool {
        let Some(endpoint) = self.seen(id, Some(owner)) else { return false };
        let carried = endpoint.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        let is_same =
            |((a, b), (name, value)): ((&str, &[u8]), &(String, String))| a.eq_ignore_ascii_case(name) && b == value.as_bytes();
        endpoint.subscription.wish == *wish && endpoint.headers.len() == headers.len() && carried.zip(headers).all(is_same)
    }

    /// Changes a subscription. To set it active again, or to give it another URL, makes a disabled one take events.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn update(&self, id: &str, owner: &Owner, wish: Wish, headers: Option<Headers>) -> Result<Shown, ChangeError> {
        let _changing = self.shared.changes.lock().await;
        let before = self.seen(id, Some(owner)).ok_or(ChangeError::Unknown)?;
        let mut subscription = before.subscription.clone();
        self.check_revivable(&before)?;
        if wish.active && before.disabled {
            self.revive(&before.health_id).await?;
        }
        if let Some(headers) = headers {
            subscription.headers = Some(self.keep_headers(&headers, id)?);
        }
        (subscription.wish, subscription.modified) = (wish, self.now());
        self.check_revivable(&self.prepare(subscription.clone())?)?;
        let endpoint = self.write_subscription(subscription).await?;
        self.forget_unused(&before.health_id).await?;
        Ok(self.show(&endpoint, None))
    }

    /// Sets whether a subscription takes anything. Set active, one that was disabled begins anew.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn set_active(&self, id: &str, owner: &Owner, active: bool) -> Result<Shown, ChangeError> {
        let _changing = self.shared.changes.lock().await;
        let before = self.seen(id, Some(owner)).ok_or(ChangeError::Unknown)?;
        let mut subscription = before.subscription.clone();
        (subscription.wish.active, subscription.modified) = (active, self.now());
        if active {
            self.check_revivable(&before)?;
        }
        if active && before.disabled {
            self.revive(&before.health_id).await?;
        }
        let endpoint = self.write_subscription(subscription).await?;
        Ok(self.show(&endpoint, None))
    }

    /// Takes a subscription away. What is queued for it is cancelled.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn delete(&self, id: &str, owner: &Owner) -> Result<(), ChangeError> {
        let _changing = self.shared.changes.lock().await;
        let before = self.seen(id, Some(owner)).ok_or(ChangeError::Unknown)?;
        self.remove(&before).await
    }

    async fn remove(&self, before: &Endpoint) -> Result<(), ChangeError> {
        let subscription = Subscription { deleted: Some(self.now()), ..before.subscription.clone() };
        let endpoint = self.write_subscription(subscription).await?;
        tracing::info!(subscription = %endpoint.subscription.id, "unsubscribed");
        Ok(self.forget_unused(&endpoint.health_id).await?)
    }

    /// Takes all subscriptions away that share a callback URL's health, and the health with them.
    pub(super) async fn delete_all_of(&self, health_id: &str) {
        let _changing = self.shared.changes.lock().await;
        let book = self.book();
        for endpoint in book.sharing(health_id) {
            if endpoint.subscription.deleted.is_none() && self.remove(endpoint).await.is_err() {
                return;
            }
        }
    }

    /// Makes a new secret, or takes the one that is given; the old one signs as well until `grace` is over. Returns the new one, this
    /// once.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn rotate(&self, id: &str, owner: &Owner, given: Option<Secret>, grace: Duration) -> Result<Shown, ChangeError> {
        let _changing = self.shared.changes.lock().await;
        let before = self.seen(id, Some(owner)).ok_or(ChangeError::Unknown)?;
        if !before.profile.proofs.contains(&Proof::StandardWebhooks) {
            return Err(ChangeError::NoSecret(before.profile.name));
        }
        let secret = given.or_else(Secret::generate).ok_or(Unopened)?;
        let now = self.now();
        let end = now + SignedDuration::try_from(grace.min(GRACE_MAX)).unwrap_or(SignedDuration::ZERO);
        let mut subscription = before.subscription.clone();
        // The newest of the old ones alone: with each rotation the one before it would live for longer.
        subscription.secrets.truncate(1);
        for old in &mut subscription.secrets {
            old.until = Some(old.until.map_or(end, |until| until.min(end)));
        }
        subscription.secrets.retain(|old| old.until.is_none_or(|until| until > now));
        subscription.secrets.insert(0, self.keep(&secret, id)?);
        subscription.modified = now;
        let endpoint = self.write_subscription(subscription).await?;
        Ok(self.show(&endpoint, Some(&secret)))
    }

    fn check_room(&self, application: &ClientId, by_operator: bool) -> Result<i64, ChangeError> {
        let (own_max, all_max) = self.shared.config.subscriptions_max;
        let book = self.book();
        let own = book
            .endpoints()
            .filter(|endpoint| endpoint.subscription.application == *application && endpoint.subscription.deleted.is_none());
        // What operators set up is of all customers together.
        if !by_operator && own.count() >= own_max {
            return Err(ChangeError::TooMany(own_max));
        }
        if book.endpoints().count() >= all_max {
            return Err(ChangeError::TooMany(all_max));
        }
        // Never one that was used: what was sent to another application stands under it.
        Ok(self.shared.endpoints.fetch_add(1, Ordering::AcqRel) + 1)
    }

    fn keep(&self, secret: &Secret, id: &str) -> Result<KeptSecret, Unopened> {
        Ok(KeptSecret { sealed: self.shared.sealer.seal(secret.as_bytes(), id)?, until: None })
    }

    fn keep_headers(&self, headers: &Headers, id: &str) -> Result<String, Unopened> {
        self.shared.sealer.seal(json::encode(headers).as_bytes(), id)
    }

    fn open_headers(&self, sealed: &str, id: &str) -> Result<Vec<(HeaderName, HeaderValue)>, Unopened> {
        let headers: Headers = serde_json::from_slice(&self.shared.sealer.unseal(sealed, id)?).map_err(|_malformed| Unopened)?;
        let header = |(name, value): &(String, String)| {
            let mut value = HeaderValue::from_str(value).map_err(|_invalid| Unopened)?;
            value.set_sensitive(true);
            Ok((name.parse().map_err(|_invalid| Unopened)?, value))
        };
        headers.iter().map(header).collect()
    }

    /// Writes a subscription, then puts it to work.
    async fn write_subscription(&self, subscription: Subscription) -> Result<Arc<Endpoint>, ChangeError> {
        let text = json::encode(&subscription);
        let endpoint = Arc::new(self.prepare(subscription)?);
        let id = endpoint.subscription.id.clone();
        self.shared.store.put_document(Kind::Subscription, id.clone(), text).await?;
        let mut all: Vec<_> = self.book().endpoints().filter(|other| other.subscription.id != id).cloned().collect();
        all.push(endpoint.clone());
        self.replace(all);
        let (number, now) = (endpoint.subscription.number, self.now().as_millisecond());
        if endpoint.subscription.deleted.is_some() {
            self.lock().stop(number);
            self.end_queue(&endpoint, DeliveryState::Cancelled);
        } else if endpoint.is_open() {
            self.lock().open(endpoint.clone(), Some(now), None, now);
        } else {
            self.lock().open(endpoint.clone(), None, None, now);
            self.lock().stop(number);
            self.end_queue(&endpoint, DeliveryState::Suppressed);
        }
        self.shared.woken.notify_one();
        Ok(endpoint)
    }

    fn prepare(&self, subscription: Subscription) -> Result<Endpoint, Unopened> {
        let profile = Profile::find(&subscription.wish.profile).ok_or(Unopened)?;
        // By the widest rules; by those of the deployment, which may have changed since it was made, nothing may be sent to it.
        let url = callback_url(&subscription.wish.url, profile, &[], true).map_err(|_fault| Unopened)?;
        let config = &self.shared.config;
        let refusal =
            callback_url(&subscription.wish.url, profile, &config.ports, config.dev).err().map(|fault| fault.to_string());
        let open = |kept: &KeptSecret| {
            let secret = Secret::from_bytes(self.shared.sealer.unseal(&kept.sealed, &subscription.id)?);
            Ok((secret.ok_or(Unopened)?, kept.until))
        };
        let secrets = subscription.secrets.iter().map(open).collect::<Result<Vec<_>, Unopened>>()?;
        let key = self.app_key(&subscription.application);
        let signer = Signer::new(subscription.application.as_str(), &secrets, key, subscription.wish.asymmetric);
        let headers = subscription.headers.as_deref().map(|sealed| self.open_headers(sealed, &subscription.id));
        let headers = headers.transpose()?.unwrap_or_default();
        let health_id = health_id(profile, &subscription, &url);
        let disabled = self.is_disabled(&health_id);
        Ok(Endpoint { profile, url, refusal, signer, headers, health_id, disabled, subscription })
    }

    pub(super) fn load_subscriptions(&self, documents: Vec<(String, String)>) -> Result<(), EngineError> {
        let mut all = Vec::with_capacity(documents.len());
        for (id, text) in documents {
            let name = || EngineError::Sealed(format!("subscription {id}"));
            let subscription: Subscription = serde_json::from_str(&text).map_err(|_malformed| name())?;
            self.shared.endpoints.fetch_max(subscription.number, Ordering::AcqRel);
            all.push(Arc::new(self.prepare(subscription).map_err(|_unopened| name())?));
        }
        self.replace(all);
        Ok(())
    }

    fn replace(&self, all: Vec<Arc<Endpoint>>) {
        *self.shared.book.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Book::new(all, &self.shared.catalogues));
    }

    /// Makes the book anew, after the health of a callback URL has changed.
    pub(super) fn rebuild(&self) {
        let book = self.book();
        let all = book.endpoints().map(|endpoint| {
            let disabled = self.is_disabled(&endpoint.health_id);
            if disabled == endpoint.disabled {
                return endpoint.clone();
            }
            Arc::new(Endpoint { disabled, ..Endpoint::clone(endpoint) })
        });
        let all = all.collect();
        self.replace(all);
    }

    pub(super) fn drop_endpoint(&self, id: &str) {
        self.replace(self.book().endpoints().filter(|endpoint| endpoint.subscription.id != id).cloned().collect());
    }
}

/// Whose health an endpoint shares: that of its owner's callback URL.
fn health_id(profile: &Profile, subscription: &Subscription, url: &CallbackUrl) -> String {
    let Subscription { application, bound_to, .. } = subscription;
    let owner = match bound_to {
        Some(customer) if profile.health_by_customer => customer.to_string(),
        Some(customer) => format!("{application} {customer}"),
        None => application.to_string(),
    };
    format!("{} {owner} {}", profile.name, url.comparable())
}
