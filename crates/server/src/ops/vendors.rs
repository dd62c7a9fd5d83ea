//! What operators set up for vendors' webhooks: Enreach's configuration of each customer, and whose Avaya's accounts are.

use hyper::{Response, StatusCode};
use protocol::id::{ClientId, CustomerId};
use serde::Deserialize;
use serde_json::{Value, json};
use webhooks::engine::{Given, Owner, Shown};
use webhooks::profile::ENREACH;
use webhooks::subscription::Asker;
use webhooks::vendor::enreach::Configuration;
use webhooks::vendor::{avaya, enreach};

use super::paging::Page;
use super::{BODY_BYTES_MAX, done, json_body, parsed};
use crate::api::answer::{empty, json_response};
use crate::api::call::Asking;
use crate::api::faults::ApiError;
use crate::api::paging::parameters;
use crate::api::request::json_bytes;
use crate::net::outgoing::Outgoing;
use crate::net::request::Head;
use crate::node::Node;

/// Bytes of a configuration: a hundred endpoints with their subscriptions.
const CONFIGURATION_BYTES_MAX: usize = 1024 * 1024;
/// Whose operators' subscriptions are.
const OPERATOR: &str = "operator";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Account {
    customer_id: String,
}

/// `GET /avaya/accounts`
pub(super) async fn accounts(of: Asking<'_>) -> Result<Response<Outgoing>, ApiError> {
    let all = of.node.webhooks.accounts().into_iter();
    let shown = all.map(|(id, customer)| (id.clone(), json!({"accountId": id, "customerId": customer})));
    Page::read(of.head, &[])?.of(of.head, shown)
}

/// `PUT /avaya/accounts/{accountId}`
pub(super) async fn put_account(of: Asking<'_>) -> Result<Response<Outgoing>, ApiError> {
    let (node, [id, _]) = (of.node, of.ids);
    if !avaya::is_account(id) {
        return Err(ApiError::Unreadable(format!("The account {}", avaya::ACCOUNT_RULE)));
    }
    let Account { customer_id } = json_body(of, BODY_BYTES_MAX).await?;
    match node.webhooks.put_account(id, parsed(&customer_id, CustomerId::parse)?).await? {
        Some(why) => Err(ApiError::Conflict(why)),
        None => Ok(empty(StatusCode::NO_CONTENT)),
    }
}

/// `DELETE /avaya/accounts/{accountId}`
pub(super) async fn remove_account(of: Asking<'_>) -> Result<Response<Outgoing>, ApiError> {
    let [id, _] = of.ids;
    done(of.node.webhooks.remove_account(id).await?, || format!("account {id}"))
}

/// `GET /enreach/webhooks?customerId=…`
pub(super) async fn configuration(of: Asking<'_>) -> Result<Response<Outgoing>, ApiError> {
    let customer = customer(of.head)?;
    Ok(json_response(StatusCode::OK, &Value::from(documents(of.node, &owner(customer)?))))
}

/// `PUT /enreach/webhooks?customerId=…`
pub(super) async fn configure(of: Asking<'_>) -> Result<Response<Outgoing>, ApiError> {
    let (node, customer) = (of.node, customer(of.head)?);
    let body = json_bytes(node, of.head, of.body, CONFIGURATION_BYTES_MAX).await?;
    load(node, customer, &body).await
}

fn customer(head: Head<'_>) -> Result<CustomerId, ApiError> {
    let mut customer = None;
    parameters(head.query.unwrap_or_default(), |name, value| match name {
        "customerId" => {
            customer = Some(CustomerId::parse(value).map_err(|error| error.to_string())?);
            Ok(())
        }
        _ => Err("is not known here; known is customerId".to_owned()),
    })?;
    customer.ok_or_else(|| ApiError::Unreadable("The query parameter customerId is required".to_owned()))
}

fn owner(customer: CustomerId) -> Result<Owner, ApiError> {
    let application = parsed(OPERATOR, ClientId::parse)?;
    Ok(Owner { application, bound_to: Some(customer), by_operator: true })
}

fn endpoints(node: &Node, owner: &Owner) -> Vec<Shown> {
    let mut all = node.webhooks.subscriptions(Some(owner));
    all.retain(|shown| shown.profile == ENREACH.name);
    all
}

fn documents(node: &Node, owner: &Owner) -> Vec<Value> {
    endpoints(node, owner).into_iter().map(|shown| shown.vendor).collect()
}

/// Makes a configuration the whole of what the customer has: what stands already is left alone, what is not in it goes.
async fn load(node: &Node, customer: CustomerId, body: &[u8]) -> Result<Response<Outgoing>, ApiError> {
    let (engine, owner) = (&node.webhooks, owner(customer)?);
    let Configuration { endpoints: wanted, warnings } = read(node, &owner, customer, body)?;
    let _changing = engine.exclusively().await;
    let mut before = endpoints(node, &owner);
    let (mut made, mut changed, mut kept) = (0, 0, 0);
    for (wish, headers) in wanted {
        let place = before.iter().position(|shown| shown.url == wish.url);
        match place.map(|place| before.swap_remove(place)) {
            Some(shown) if engine.stands(&shown.id, &owner, &wish, &headers) => kept += 1,
            Some(shown) => {
                engine.update(&shown.id, &owner, wish, Some(headers)).await?;
                changed += 1;
            }
            None => {
                engine.create(owner, wish, Given { secret: None, headers: Some(headers) }).await?;
                made += 1;
            }
        }
    }
    let removed = before.len();
    for shown in before {
        engine.delete(&shown.id, &owner).await?;
    }
    tracing::info!(%customer, made, changed, kept, removed, "Enreach's webhooks configured by an operator");
    for warning in &warnings {
        tracing::warn!(%customer, "{warning}");
    }
    let answer = json!({
        "made": made, "changed": changed, "kept": kept, "removed": removed, "warnings": warnings,
        "configuration": documents(node, &owner),
    });
    Ok(json_response(StatusCode::OK, &answer))
}

fn read(node: &Node, owner: &Owner, customer: CustomerId, body: &[u8]) -> Result<Configuration, ApiError> {
    let (engine, config) = (&node.webhooks, &node.config.webhooks);
    let asker = Asker {
        application: owner.application,
        guard: engine.guard(),
        catalogues: engine.catalogues(),
        ports: &config.ports,
        loopback: config.dev,
        holds: &|_: &str| true,
        installed: &|_: &CustomerId| true,
        bound_to: owner.bound_to,
    };
    Ok(enreach::read(body, customer, &asker)?)
}
