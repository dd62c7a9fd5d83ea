//! `POST /events`: what other systems report, for subscribers.

use std::net::IpAddr;

use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode};
use protocol::id::{CustomerId, IdempotencyKey};
use serde_json::json;
use sha2::{Digest, Sha256};
use store::idempotency::{Claim, Claimed};
use webhooks::report::{BODY_BYTES_MAX, EVENT_BYTES_MAX, Reports, read};

use crate::api::answer::{json_response, refuse_body};
use crate::api::faults::{ApiError, Body, Unavailable};
use crate::api::request::{Application, check_content_type, check_length, idempotency_key, read_body};
use crate::app::Node;
use crate::idempotency::{Owner, Running, Seen};

const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// Takes one report, or up to 500: all of them or none. When it answers, they are on disk.
pub(crate) async fn post(node: &Node, peer: IpAddr, request: &mut Request<Incoming>) -> Result<Response<Body>, ApiError> {
    let (application, key) = before_the_body(node, peer, request.headers()).await?;
    let body = read_body(request.body_mut(), BODY_BYTES_MAX, node.config.limits.body_timeout).await?;
    let is_list = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    if !is_list && body.len() > EVENT_BYTES_MAX {
        return Err(ApiError::TooLarge(EVENT_BYTES_MAX));
    }
    let reports = read(&body, node.webhooks.catalogues(), &|| node.new_id().hyphenated()).map_err(refuse_body)?;
    check_allowed(&application, &reports)?;
    let digest = <[u8; 32]>::from(Sha256::digest(&body));
    let owner = key.map(|key| (application.client_id, None, key));
    let running = match owner.map(|owner| node.keys.claim(owner, digest, node.clock.running())) {
        None => None,
        Some(Seen::First(running)) => Some(running),
        Some(Seen::Before(answer)) => return Ok(accepted(&answer, true)),
        Some(Seen::Conflict) => return Err(ApiError::KeyConflict),
        Some(Seen::StillRunning) => return Err(ApiError::KeyRunning),
        Some(Seen::Full) => return Err(ApiError::Unavailable(Unavailable::Keys)),
    };
    take(node, reports, owner.map(|owner| (owner, digest)), running).await
}

/// All that can be checked before the body is read.
async fn before_the_body(
    node: &Node,
    peer: IpAddr,
    headers: &HeaderMap,
) -> Result<(Application, Option<IdempotencyKey>), ApiError> {
    check_length(headers, BODY_BYTES_MAX)?;
    let application = Application::identify(node, peer, headers).await?;
    check_content_type(headers)?;
    Ok((application, idempotency_key(headers)?))
}

async fn take(
    node: &Node,
    reports: Reports,
    key: Option<(Owner, [u8; 32])>,
    running: Option<Running<'_>>,
) -> Result<Response<Body>, ApiError> {
    // One id for each report, whatever it fires.
    let mut ids: Vec<_> = reports.events.iter().map(|event| event.change.as_str()).collect();
    ids.dedup();
    let answer = json!({"events": reports.events.len(), "eventIds": ids}).to_string();
    let claim = key.map(|((client_id, customer, key), body)| Claim { client_id, customer, key, body, answer: answer.clone() });
    let enqueue = node.webhooks.match_reports(reports.events);
    let (answer, repeated) = match node.store.enqueue(enqueue, claim, node.clock.now()).await? {
        Claimed::First => (answer, false),
        Claimed::Repeated(answer) => (answer, true),
        Claimed::Conflict => return Err(ApiError::KeyConflict),
    };
    if let Some(running) = running {
        running.finished(answer.clone());
    }
    Ok(accepted(&answer, repeated))
}

/// Each catalogue has a scope of its own; a token that names a customer reports for that one alone.
fn check_allowed(application: &Application, reports: &Reports) -> Result<(), ApiError> {
    for (catalogue, customer) in &reports.spoken_for {
        if !application.holds(&format!("events.{catalogue}.write")) {
            return Err(ApiError::NoScope);
        }
        check_customer(application, *customer)?;
    }
    Ok(())
}

fn check_customer(application: &Application, customer: CustomerId) -> Result<(), ApiError> {
    match application.bound_to {
        Some(own) if own != customer => {
            Err(ApiError::Forbidden(format!("The token speaks for {own} alone, and an event is of {customer}")))
        }
        _ if !application.is_installed(&customer) => {
            Err(ApiError::Forbidden(format!("Customer {customer} has not installed this application")))
        }
        Some(_) | None => Ok(()),
    }
}

fn accepted(answer: &str, repeated: bool) -> Response<Body> {
    let mut response = json_response(StatusCode::ACCEPTED, &answer);
    if repeated {
        response.headers_mut().insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
    }
    response
}
