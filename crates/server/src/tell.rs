//! What bellwire itself tells subscribers: calls, and sessions that open and close.

use protocol::authorise::Told;
use protocol::frame;
use protocol::payload::SubType;
use serde_json::json;
use sessions::session::LoggedIn;
use store::webhooks::Enqueue;
use webhooks::engine::OwnEvent;

use crate::node::Node;

/// What is to be written for a call's event, where anybody has subscribed to it. Events of a call are told in order.
pub(crate) fn match_call(node: &Node, event: &Told<'_>) -> Option<Enqueue> {
    let topic = match event.sub_type() {
        SubType::IncomingCall => "telephony.incomingCall",
        SubType::AnsweredCall => "telephony.answeredCall",
        SubType::EndedCall => "telephony.endedCall",
        SubType::MissedCall => "telephony.missedCall",
    };
    if !node.webhooks.is_asked_for(topic) {
        return None;
    }
    let (entity, data) = (event.call_id(), frame::encode_told(event));
    let (id, customer, time) = (event.id(), event.customer(), event.created());
    node.webhooks.match_own(OwnEvent { topic, id, customer, entity: &entity, time, data: &data, in_order: true })
}

/// Tells subscribers of a session that has opened or closed, if any ask. It waits for the disk, but for no receiver; what the disk
/// refuses is not told.
pub(crate) async fn tell_session(node: &Node, topic: &'static str, who: LoggedIn) {
    let LoggedIn { recipient, product, device } = who;
    if !node.webhooks.is_asked_for(topic) {
        return;
    }
    let sessions = node.registry.sessions_of(&recipient);
    let negotiator = recipient.negotiator;
    let data = json!({"negotiatorId": negotiator, "product": product, "device": device, "sessions": sessions}).to_string();
    let (id, customer, time) = (node.new_id(), recipient.customer, node.clock.now());
    let own = OwnEvent { topic, id, customer, entity: negotiator.as_str(), time, data: &data, in_order: true };
    if let Some(enqueue) = node.webhooks.match_own(own)
        && let Err(error) = node.store.enqueue(enqueue, None, time).await
    {
        tracing::warn!(%error, topic, "subscribers are not told of a session");
    }
}
