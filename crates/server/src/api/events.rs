//! `POST /events`: what other systems report, for subscribers.

use hyper::header::{HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use protocol::id::CustomerId;
use serde_json::json;
use sha2::{Digest, Sha256};
use store::error::StoreError;
use webhooks::report::{BODY_BYTES_MAX, EVENT_BYTES_MAX, Reports, read};

use super::answer::json_response;
use super::call::Asking;
use super::faults::ApiError;
use super::identify::Application;
use super::request::{check_content_type, idempotency_key};
use crate::idempotency::{Kept, Key, Once, Owner, Worked, once};
use crate::net::outgoing::Outgoing;
use crate::net::request::check_length;
use crate::node::Node;

const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// Takes one report, or up to 500: all of them or none. When it answers, they are on disk.
pub(super) async fn post(of: Asking<'_>) -> Result<Response<Outgoing>, ApiError> {
    let Asking { node, head, body, .. } = of;
    check_length(head.headers, BODY_BYTES_MAX)?;
    let application = Application::identify(node, head).await?;
    check_content_type(head.headers)?;
    let key = idempotency_key(head.headers)?;
    let body = body.read(BODY_BYTES_MAX, node.config.limits.body_timeout).await?;
    let is_list = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    if !is_list && body.len() > EVENT_BYTES_MAX {
        return Err(ApiError::TooLarge(EVENT_BYTES_MAX));
    }
    let reports = read(&body, node.webhooks.catalogues(), &|| node.new_id().hyphenated())?;
    check_allowed(&application, &reports)?;
    let key = key.map(|key| {
        let owner = Owner { client_id: application.client_id, customer: None, key };
        Key { owner, body: Sha256::digest(&*body).into(), kept: Kept::InMemory }
    });
    let key = key.as_ref();
    match once(&node.keys, key, node.clock.running(), |_shown| take(node, reports, key)).await? {
        Once::Done(answer) => Ok(json_response(StatusCode::ACCEPTED, &answer)),
        Once::Repeated(answer) => {
            let mut response = json_response(StatusCode::ACCEPTED, &answer);
            response.headers_mut().insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
            Ok(response)
        }
    }
}

async fn take(node: &Node, reports: Reports, key: Option<&Key>) -> Result<Worked, StoreError> {
    // One id for each report, whatever it fires.
    let mut ids: Vec<_> = reports.events.iter().map(|event| event.change.as_str()).collect();
    ids.dedup();
    let answer = json!({"events": reports.events.len(), "eventIds": ids}).to_string();
    let claim = key.map(|key| key.claim(answer.clone()));
    let enqueue = node.webhooks.match_reports(reports.events);
    Ok(Worked::of(node.store.enqueue(enqueue, claim, node.clock.now()).await?, answer))
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
