//! What is to be posted or taken back.

use jiff::Timestamp;
use protocol::payload::SubType;
use protocol::time;
use serde_json::{Value, json};

use crate::number::UNKNOWN;

/// What a callback makes of a call for those concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// An event is to be posted.
    Post(Post),
    /// A call that was taken for missed was not: its entry is to go.
    Retract {
        /// Whose list.
        negotiator: String,
        /// The call.
        call: String,
    },
}

/// An event to be posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Post {
    /// What happened.
    pub sub_type: SubType,
    /// Whom it is for.
    pub targets: Vec<String>,
    /// The call.
    pub call: String,
    /// When it happened, by the vendor's clock.
    pub at: Timestamp,
    /// Who calls; empty where it is not known.
    pub caller: String,
    /// Which number was called; empty where it is not known.
    pub called: String,
    /// Whether the call rings for a group.
    pub hunt_group: bool,
    /// Who took it.
    pub answered_by: Option<String>,
}

impl Post {
    /// Returns the envelope, for these products.
    #[must_use]
    pub fn envelope(&self, products: &[&str]) -> Value {
        let number = |text: &str| if text.is_empty() { UNKNOWN.to_owned() } else { text.to_owned() };
        let mut payload = json!({
            "id": self.call,
            "created": time::millis(self.at),
            "callerId": number(&self.caller),
            "destinationId": number(&self.called),
            "huntGroup": self.hunt_group,
        });
        let answered_by =
            self.answered_by.as_ref().filter(|_| matches!(self.sub_type, SubType::AnsweredCall | SubType::EndedCall));
        if let (Some(payload), Some(answered_by)) = (payload.as_object_mut(), answered_by) {
            payload.insert("answeredById".to_owned(), json!(answered_by));
        }
        json!({
            "type": "telephony",
            "subType": self.sub_type.name(),
            "products": products,
            "targets": {"negotiatorId": self.targets},
            "payload": payload,
        })
    }
}
