//! Method and path → handler: the API's table of contents.
//!
//! The paths are those of `protocol/openapi.yaml`, and a test holds both against each other. The first that fits is taken, so
//! what is asked most stands first.

use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Response};

use super::call::{Asking, Call};
use super::faults::ApiError;
use super::identify::admit_stranger;
use super::table::Route;
use super::webhooks::{apirtc, avaya, log, replays, resthooks, subscriptions};
use super::{connectors, events, negotiators, notifications, webhooks};
use crate::net::outgoing::Outgoing;

const GET: Method = Method::GET;
const POST: Method = Method::POST;
const PUT: Method = Method::PUT;
const DELETE: Method = Method::DELETE;

/// Every path of the API, with what can be asked of it.
#[rustfmt::skip]
pub(crate) const ROUTES: &[Route<Call>] = &[
    Route { path: "/notifications", calls: &[
        (GET, Call::Other(|of| Box::pin(notifications::list(of)))),
        (POST, Call::Event),
    ] },
    Route { path: "/session", calls: &[
        (GET, Call::Session),
    ] },
    Route { path: "/notifications/{id}", calls: &[
        (DELETE, Call::Other(|of| Box::pin(notifications::delete(of)))),
    ] },
    Route { path: "/notifications/{id}/receipts", calls: &[
        (GET, Call::Other(|of| Box::pin(notifications::receipts(of)))),
    ] },
    Route { path: "/negotiators", calls: &[
        (GET, Call::Other(|of| Box::pin(negotiators::list(of)))),
    ] },
    Route { path: "/negotiators/{id}", calls: &[
        (GET, Call::Other(|of| Box::pin(negotiators::one(of)))),
    ] },
    Route { path: "/connectors/{id}", calls: &[
        (POST, Call::Other(|of| Box::pin(connectors::take(of)))),
    ] },
    Route { path: "/connectors/{id}/{secret}", calls: &[
        (POST, Call::Other(|of| Box::pin(connectors::take(of)))),
    ] },
    Route { path: "/events", calls: &[
        (POST, Call::Other(|of| Box::pin(events::post(of)))),
    ] },
    Route { path: "/webhooks/topics", calls: &[
        (GET, Call::Application(|of| Box::pin(webhooks::topics(of)))),
    ] },
    Route { path: "/webhooks/subscriptions", calls: &[
        (GET, Call::Application(|of| Box::pin(subscriptions::list(of)))),
        (POST, Call::Application(|of| Box::pin(subscriptions::create(of)))),
    ] },
    Route { path: "/webhooks/subscriptions/{id}", calls: &[
        (GET, Call::Application(|of| Box::pin(subscriptions::one(of)))),
        (PUT, Call::Application(|of| Box::pin(subscriptions::update(of)))),
        (DELETE, Call::Application(|of| Box::pin(subscriptions::delete(of)))),
    ] },
    Route { path: "/webhooks/subscriptions/{id}/ping", calls: &[
        (POST, Call::Application(|of| Box::pin(subscriptions::ping(of)))),
    ] },
    Route { path: "/webhooks/subscriptions/{id}/activate", calls: &[
        (POST, Call::Application(|of| Box::pin(subscriptions::activate(of)))),
    ] },
    Route { path: "/webhooks/subscriptions/{id}/deactivate", calls: &[
        (POST, Call::Application(|of| Box::pin(subscriptions::deactivate(of)))),
    ] },
    Route { path: "/webhooks/subscriptions/{id}/secret/rotate", calls: &[
        (POST, Call::Application(|of| Box::pin(subscriptions::rotate(of)))),
    ] },
    Route { path: "/webhooks/subscriptions/{id}/attempts", calls: &[
        (GET, Call::Application(|of| Box::pin(log::attempts(of)))),
    ] },
    Route { path: "/webhooks/subscriptions/{id}/replay", calls: &[
        (POST, Call::Application(|of| Box::pin(replays::begin(of)))),
    ] },
    Route { path: "/webhooks/deliveries/{id}", calls: &[
        (GET, Call::Application(|of| Box::pin(log::delivery(of)))),
    ] },
    Route { path: "/webhooks/deliveries/{id}/retry", calls: &[
        (POST, Call::Application(|of| Box::pin(log::retry(of)))),
    ] },
    Route { path: "/webhooks/replays/{id}", calls: &[
        (GET, Call::Application(|of| Box::pin(replays::one(of)))),
        (DELETE, Call::Application(|of| Box::pin(replays::stop(of)))),
    ] },
    Route { path: "/webhooks/signing/{keyId}", calls: &[
        (GET, Call::Application(|of| Box::pin(webhooks::signing(of)))),
    ] },
    Route { path: "/webhooks/usage", calls: &[
        (GET, Call::Application(|of| Box::pin(log::usage(of)))),
    ] },
    Route { path: "/resthooks", calls: &[
        (GET, Call::Application(|of| Box::pin(resthooks::list(of)))),
        (POST, Call::Application(|of| Box::pin(resthooks::create(of)))),
    ] },
    Route { path: "/resthooks/{id}", calls: &[
        (GET, Call::Application(|of| Box::pin(resthooks::one(of)))),
        (PUT, Call::Application(|of| Box::pin(resthooks::update(of)))),
        (DELETE, Call::Application(|of| Box::pin(resthooks::delete(of)))),
    ] },
    Route { path: "/apirtc/webhook", calls: &[
        (GET, Call::Application(|of| Box::pin(apirtc::show(of)))),
        (POST, Call::Application(|of| Box::pin(apirtc::create(of)))),
        (PUT, Call::Application(|of| Box::pin(apirtc::replace(of)))),
        (DELETE, Call::Application(|of| Box::pin(apirtc::delete(of)))),
    ] },
    Route { path: "/api/digital/webhook/v1/accounts/{accountId}/subscriptions", calls: &[
        (GET, Call::Application(|of| Box::pin(avaya::list(of)))),
        (POST, Call::Application(|of| Box::pin(avaya::create(of)))),
    ] },
    Route { path: "/api/digital/webhook/v1/accounts/{accountId}/subscriptions/{subscriptionId}", calls: &[
        (GET, Call::Application(|of| Box::pin(avaya::one(of)))),
        (PUT, Call::Application(|of| Box::pin(avaya::replace(of)))),
        (DELETE, Call::Application(|of| Box::pin(avaya::delete(of)))),
    ] },
    Route { path: "/openapi.json", calls: &[
        (GET, Call::Other(|of| Box::pin(openapi(of)))),
    ] },
];

/// `GET /openapi.json`
async fn openapi(of: Asking<'_>) -> Result<Response<Outgoing>, ApiError> {
    admit_stranger(of.node, of.head)?;
    let serving = of.node.serving.as_ref().ok_or(ApiError::NotFound)?;
    let mut response = Response::new(Outgoing::from(serving.openapi.clone()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::openapi::published;
    use super::super::table::IDS_MAX;
    use super::*;

    /// Of a telephone system that can send no header of ours, its secret stands behind the id.
    const UNPUBLISHED: &str = "/connectors/{id}/{secret}";

    #[test]
    fn the_published_contract_names_the_same_paths_and_methods() {
        let document: serde_json::Value = serde_json::from_slice(&published(&[]).unwrap()).unwrap();
        let paths = document["paths"].as_object().unwrap().iter();
        let published: BTreeMap<_, Vec<_>> = paths
            .map(|(path, calls)| {
                let calls =
                    calls.as_object().unwrap().keys().filter(|name| !["parameters", "description"].contains(&name.as_str()));
                let mut calls: Vec<_> = calls.map(|name| name.to_uppercase()).collect();
                calls.sort_unstable();
                (path.trim_end_matches('/').to_owned(), calls)
            })
            .collect();
        let routes = ROUTES.iter().filter(|route| route.path != UNPUBLISHED);
        let served: BTreeMap<_, Vec<_>> = routes
            .map(|route| {
                let mut calls: Vec<_> = route.calls.iter().map(|(method, _)| method.to_string()).collect();
                calls.sort_unstable();
                (route.path.to_owned(), calls)
            })
            .collect();
        assert_eq!(served, published);
    }

    #[test]
    fn every_id_of_a_path_has_a_place() {
        assert!(ROUTES.iter().all(|route| route.path.matches('{').count() <= IDS_MAX));
    }
}
