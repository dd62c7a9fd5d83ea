//! Subscriptions and deliveries: bellwire's own API, and Reapit's `/resthooks`.

mod subscriptions; // made, changed, taken away, tried out
mod resthooks; // the same, in Reapit's public contract
mod apirtc; // the same, as ApiRTC's console has it
mod avaya; // the same, in Avaya's contract
mod log; // attempts, deliveries, what was sent
mod replays; // deliveries queued anew

use std::net::IpAddr;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use protocol::id::CustomerId;
use serde_json::{Value, json};
use webhooks::engine::{ChangeError, Given, Owner, Shown};
use webhooks::sign::Secret;
use webhooks::subscription::{Asker, Contract, Wish, is_permitted};

use crate::api::answer::{json_response, read_json, refuse_body};
use crate::api::faults::{ApiError, Body};
use crate::api::request::{Application, json_bytes};
use crate::app::Node;

pub(crate) use self::replays::{ask as ask_for_replay, show as show_replay};

/// What Avaya's documentation has its subscribers do.
const NOT_REVIVABLE: &str = "The subscription is disabled, or would be: the callback URL was unhealthy for too long. 1. List all your \
     subscriptions and take a note of the attributes, subscriptionId included, of those with this callback URL. 2. Delete all of \
     them that are disabled, by subscriptionId. 3. Create them again; they will have new subscriptionIds";
/// Bytes of a body at most: a thousand customers fit.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Whether a path is one of Avaya's contract.
pub(crate) fn is_avaya(path: &str) -> bool {
    path.strip_prefix(avaya::BASE).is_some_and(|rest| rest.starts_with('/'))
}

/// Answers what stands below Avaya's base path: refusals too are as its contract has them.
pub(crate) async fn answer_avaya(node: &Node, peer: IpAddr, request: &mut Request<Incoming>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let segments: Vec<_> = path.strip_prefix(avaya::BASE).unwrap_or_default().trim_matches('/').split('/').collect();
    let answered = match Application::identify(node, peer, request.headers()).await {
        Ok(application) => {
            let asking = Asking { node, application: &application };
            avaya::answer(asking, request.method().clone(), &segments, request).await
        }
        Err(error) => Err(error),
    };
    answered.unwrap_or_else(|error| {
        error.count(node);
        avaya::problem(node, error, &path)
    })
}

/// Answers what stands below `/webhooks`, `/resthooks` and `/apirtc`.
pub(crate) async fn answer(node: &Node, peer: IpAddr, request: &mut Request<Incoming>) -> Result<Response<Body>, ApiError> {
    let path = request.uri().path().to_owned();
    let segments: Vec<_> = path.trim_matches('/').split('/').collect();
    let application = Application::identify(node, peer, request.headers()).await?;
    let asking = Asking { node, application: &application };
    match (request.method().clone(), segments.as_slice()) {
        (method, ["resthooks", rest @ ..]) => resthooks::answer(asking, method, rest, request).await,
        (method, ["apirtc", "webhook"]) => apirtc::answer(asking, method, request).await,
        (Method::GET, ["webhooks", "topics"]) => Ok(topics(asking)),
        (Method::GET, ["webhooks", "signing", key]) => signing(asking, key),
        (Method::GET, ["webhooks", "usage"]) => log::usage(asking, request).await,
        (method, ["webhooks", "subscriptions", rest @ ..]) => subscriptions::answer(asking, method, rest, request).await,
        (Method::GET, ["webhooks", "deliveries", id]) => log::delivery(asking, id).await,
        (Method::POST, ["webhooks", "deliveries", id, "retry"]) => log::retry(asking, id).await,
        (method @ (Method::GET | Method::DELETE), ["webhooks", "replays", id]) => replays::one(asking, &method, id).await,
        (_, ["webhooks", "topics" | "usage"] | ["webhooks", "signing" | "deliveries", _]) => Err(ApiError::Method("GET")),
        (_, ["webhooks", "deliveries", _, "retry"]) => Err(ApiError::Method("POST")),
        (_, ["webhooks", "replays", _]) => Err(ApiError::Method("GET, DELETE")),
        _ => Err(ApiError::NotFound),
    }
}

/// A request of an application.
#[derive(Clone, Copy)]
struct Asking<'a> {
    node: &'a Node,
    application: &'a Application,
}

impl Asking<'_> {
    fn owner(self) -> Owner {
        Owner { application: self.application.client_id, bound_to: self.application.bound_to, by_operator: false }
    }

    /// Reads what a body asks for.
    fn read(self, body: &[u8], contract: Contract, before: Option<&Wish>) -> Result<(Wish, Option<Secret>), ApiError> {
        let (holds, installed) =
            (|scope: &str| self.application.holds(scope), |customer: &CustomerId| self.application.is_installed(customer));
        Wish::read(body, contract, before, &self.asker(&holds, &installed)).map_err(refuse_body)
    }

    /// Makes a subscription from a body.
    async fn create(self, body: &[u8], contract: Contract) -> Result<Shown, ApiError> {
        let (wish, secret) = self.read(body, contract, None)?;
        self.node.webhooks.create(self.owner(), wish, Given { secret, headers: None }).await.map_err(refuse)
    }

    /// Changes a subscription as a body asks.
    async fn update(self, id: &str, body: &[u8], contract: Contract) -> Result<Shown, ApiError> {
        let before = self.node.webhooks.wish(id, &self.owner()).ok_or(ApiError::NoSuch("subscription"))?;
        let (wish, _) = self.read(body, contract, Some(&before))?;
        self.node.webhooks.update(id, &self.owner(), wish, None).await.map_err(refuse)
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
fn topics(asking: Asking<'_>) -> Response<Body> {
    let (holds, installed) = (|scope: &str| asking.application.holds(scope), |_: &CustomerId| true);
    let asker = asking.asker(&holds, &installed);
    let permitted = asker.catalogues.topics().filter(|topic| is_permitted(topic, &asker));
    let shown = permitted.map(|topic| {
        let example: Value = serde_json::from_str(topic.example).unwrap_or_default();
        json!({
            "id": topic.id, "catalogue": topic.catalogue, "name": topic.name, "description": topic.description,
            "active": true, "associatedScope": topic.scope, "schema": topic.schema, "example": example,
        })
    });
    json_response(StatusCode::OK, &json!({"_embedded": shown.collect::<Vec<_>>()}))
}

/// The public half of the application's key, as a set of JSON Web Keys.
fn signing(asking: Asking<'_>, key_id: &str) -> Result<Response<Body>, ApiError> {
    let key = asking.node.webhooks.signing_key(&asking.application.client_id, key_id).ok_or(ApiError::NoSuch("signing key"))?;
    let key = json!({"kid": key.id(), "kty": "OKP", "crv": "Ed25519", "x": key.public()});
    Ok(json_response(StatusCode::OK, &json!({"keys": [key]})))
}

async fn body(node: &Node, request: &mut Request<Incoming>) -> Result<Bytes, ApiError> {
    json_bytes(node, request, BODY_BYTES_MAX).await
}

async fn parsed_body<T: serde::de::DeserializeOwned>(node: &Node, request: &mut Request<Incoming>) -> Result<T, ApiError> {
    read_json(&body(node, request).await?)
}

pub(crate) fn refuse(error: ChangeError) -> ApiError {
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
