//! An event as it is kept for subscribers: once, however many are told. Bodies are made from it at each attempt.

use std::borrow::Cow;

use jiff::Timestamp;
use protocol::id::CustomerId;
use protocol::json;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// What happened, of one topic. Borrows from the text that it is kept in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TopicEvent<'a> {
    /// Its own id, constant over all attempts to all subscribers; a UUID.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// The id of the change that it is part of: one change can be events of several topics. A UUID.
    #[serde(borrow)]
    pub change: Cow<'a, str>,
    /// The catalogue of the topic.
    #[serde(borrow)]
    pub catalogue: Cow<'a, str>,
    /// The topic.
    #[serde(borrow)]
    pub topic: Cow<'a, str>,
    /// Whose event it is.
    pub customer: CustomerId,
    /// What it is about; unique within the customer only.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub entity: Option<Cow<'a, str>>,
    /// When it happened.
    pub time: Timestamp,
    /// Whether it comes from a sandbox.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sandbox: bool,
    /// Events with the same key reach an endpoint in order, as far as first attempts go.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Cow<'a, str>>,
    /// The entity as it is now.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub new: Option<&'a RawValue>,
    /// The entity as it was.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub old: Option<&'a RawValue>,
    /// What differs between the two.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<&'a RawValue>,
    /// What there is to tell of an event that is no change of an entity: an object.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub data: Option<&'a RawValue>,
}

impl<'a> TopicEvent<'a> {
    /// Reads what [`TopicEvent::encode`] wrote.
    ///
    /// # Errors
    /// Anything else.
    pub fn read(document: &'a str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(document)
    }

    /// The form in which it is kept.
    #[must_use]
    pub fn encode(&self) -> String {
        json::encode(self)
    }
}
