//! Subscriptions and deliveries: bellwire's own API, and Reapit's `/resthooks`.

pub(super) mod subscriptions; // made, changed, taken away, tried out
pub(super) mod resthooks; // the same, in Reapit's public contract
pub(super) mod apirtc; // the same, as ApiRTC's console has it
pub(super) mod avaya; // the same, in Avaya's contract
pub(super) mod log; // attempts, deliveries, what was sent
pub(crate) mod replays; // deliveries queued anew

use hyper::{Response, StatusCode};
use protocol::id::CustomerId;
use serde_json::{Value, json};
use webhooks::engine::{ChangeError, Given, Owner, Shown};
use webhooks::sign::Secret;
use webhooks::subscription::{Asker, Contract, Wish, is_permitted};

use super::answer::{json_response, read_json};
use super::call::OfApplication;
use super::faults::ApiError;
use super::identify::Application;
use super::request::json_bytes;
use crate::net::outgoing::Outgoing;
use crate::net::request::{Body, Head, Payload};
use crate::node::Node;

pub(crate) use self::avaya::problem;

/// What Avaya's documentation has its subscribers do.
const NOT_REVIVABLE: &str = "The subscription is disabled, or would be: the callback URL was unhealthy for too long. 1. List all your \
     subscriptions and take a note of the attributes, subscriptionId included, of those with this callback URL. 2. Delete all of \
     them that are disabled, by subscriptionId. 3. Create them again; they will have new subscriptionIds";
/// Bytes of a body at most: a thousand customers fit.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Below which paths only applications ask.
const FOR_APPLICATIONS: [&str; 4] = ["/webhooks", "/resthooks", "/apirtc", avaya::BASE];

/// Whether a path is one at which only applications ask.
pub(super) fn is_for_applications(path: &str) -> bool {
    FOR_APPLICATIONS.iter().any(|of| path.strip_prefix(of).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

/// Whether a path is one of Avaya's contract: refusals too are as it has them.
pub(super) fn is_avaya(path: &str) -> bool {
    path.strip_prefix(avaya::BASE).is_some_and(|rest| rest.starts_with('/'))
}

/// The application that asks, and where it does.
#[derive(Clone, Copy)]
struct Tenant<'a> {
    node: &'a Node,
    application: &'a Application,
}

impl<'a> OfApplication<'a> {
    fn tenant(&self) -> Tenant<'a> {
        Tenant { node: self.node, application: self.application }
    }
}

impl Tenant<'_> {
    fn owner(self) -> Owner {
        Owner { application: self.application.client_id, bound_to: self.application.bound_to, by_operator: false }
    }

    /// Reads what a body asks for.
    fn read(self, body: &[u8], contract: Contract, before: Option<&Wish>) -> Result<(Wish, Option<Secret>), ApiError> {
        let (holds, installed) =
            (|scope: &str| self.application.holds(scope), |customer: &CustomerId| self.application.is_installed(customer));
        Wish::read(body, contract, before, &self.asker(&holds, &installed)).map_err(ApiError::from)
    }

    /// Makes a subscription from a body.
    async fn create(self, body: &[u8], contract: Contract) -> Result<Shown, ApiError> {
        let (wish, secret) = self.read(body, contract, None)?;
        Ok(self.node.webhooks.create(self.owner(), wish, Given { secret, headers: None }).await?)
    }

    /// Changes a subscription as a body asks.
    async fn update(self, id: &str, body: &[u8], contract: Contract) -> Result<Shown, ApiError> {
        let before = self.node.webhooks.wish(id, &self.owner()).ok_or(ApiError::NoSuch("subscription"))?;
        let (wish, _) = self.read(body, contract, Some(&before))?;
        Ok(self.node.webhooks.update(id, &self.owner(), wish, None).await?)
    }

    /// What is known of the one who asks.
    fn asker<'f>(self, holds: &'f dyn Fn(&str) -> bool, installed: &'f dyn Fn(&CustomerId) -> bool) -> Asker<'f>
    where
        Self: 'f,
    {
        let config = &self.node.config.webhooks;
        let (ports, loopback, bound_to) = (config.ports.as_slice(), config.dev, self.application.bound_to);
        let (application, guard) = (self.application.client_id, self.node.webhooks.guard());
        Asker { application, guard, catalogues: self.node.webhooks.catalogues(), ports, loopback, holds, installed, bound_to }
    }
}

/// The topics that the application may subscribe to.
pub(super) async fn topics(of: OfApplication<'_>) -> Result<Response<Outgoing>, ApiError> {
    let tenant = of.tenant();
    let (holds, installed) = (|scope: &str| tenant.application.holds(scope), |_: &CustomerId| true);
    let asker = tenant.asker(&holds, &installed);
    let permitted = asker.catalogues.topics().filter(|topic| is_permitted(topic, &asker));
    let shown = permitted.map(|topic| {
        let example: Value = serde_json::from_str(topic.example).unwrap_or_default();
        json!({
            "id": topic.id, "catalogue": topic.catalogue, "name": topic.name, "description": topic.description,
            "active": true, "associatedScope": topic.scope, "schema": topic.schema, "example": example,
        })
    });
    Ok(json_response(StatusCode::OK, &json!({"_embedded": shown.collect::<Vec<_>>()})))
}

/// The public half of the application's key, as a set of JSON Web Keys.
pub(super) async fn signing(of: OfApplication<'_>) -> Result<Response<Outgoing>, ApiError> {
    let [key_id, _] = of.ids;
    let key = of.node.webhooks.signing_key(&of.application.client_id, key_id).ok_or(ApiError::NoSuch("signing key"))?;
    let key = json!({"kid": key.id(), "kty": "OKP", "crv": "Ed25519", "x": key.public()});
    Ok(json_response(StatusCode::OK, &json!({"keys": [key]})))
}

async fn bytes<'a>(node: &Node, head: Head<'_>, body: Body<'a>) -> Result<Payload<'a>, ApiError> {
    json_bytes(node, head, body, BODY_BYTES_MAX).await
}

async fn parsed<T: serde::de::DeserializeOwned>(of: OfApplication<'_>) -> Result<T, ApiError> {
    read_json(&bytes(of.node, of.head, of.body).await?)
}

impl From<ChangeError> for ApiError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Unknown => ApiError::NoSuch("subscription"),
            ChangeError::TooMany(max) => {
                ApiError::Conflict(format!("There are {max} subscriptions already, which is as many as can be; delete one first"))
            }
            ChangeError::NoSecret(profile) => ApiError::Conflict(format!(
                "The profile {profile} has no secret: its deliveries are signed with the application's key"
            )),
            ChangeError::NotRevivable => ApiError::Conflict(NOT_REVIVABLE.to_owned()),
            ChangeError::Store(error) => error.into(),
            ChangeError::Seal(error) => {
                tracing::error!(%error, "a subscription was not changed");
                ApiError::Internal
            }
        }
    }
}
