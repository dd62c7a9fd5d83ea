//! Missed calls: added, listed, taken away, forgotten.
//!
//! The id of a row is made by the writer, always larger than all before it, whatever the clock does: so the order of the ids is
//! the order of the commits, and `after` means "later" even when the row it names is gone.
//!
//! A list's *version* is the number of the last change to it, from a counter on disk that never goes back; an empty list has
//! version 0. It is read in the same snapshot as the rows, so an ETag made of it never stands for two contents.

use jiff::Timestamp;
use protocol::id::{CustomerId, EventId, NegotiatorId, Product, Recipient};

use crate::idempotency::Claim;
use crate::webhooks::Enqueue;

/// A missed call for one or more negotiators of a customer.
#[derive(Debug)]
pub struct NewMissed {
    /// Whose it is.
    pub customer: CustomerId,
    /// Who missed it; each gets a row.
    pub negotiators: Vec<NegotiatorId>,
    /// The id of the first row, unless one as large was given before.
    pub id: EventId,
    /// When the broker took it.
    pub created: Timestamp,
    /// `{type, subType, products, payload}`
    pub notification: String,
    /// The caller's `Idempotency-Key`, written in the same commit.
    pub claim: Option<Claim>,
    /// What subscribers are told of it, written in the same commit.
    pub enqueue: Option<Enqueue>,
}

/// A missed call as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissedCall {
    /// Its own id, which is also its place in the list.
    pub id: EventId,
    /// When the broker took it.
    pub created: Timestamp,
    /// `{type, subType, products, payload}`
    pub notification: String,
}

/// What part of a list is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// Only what named this product.
    pub product: Option<Product>,
    /// Only what is later than this.
    pub after: Option<EventId>,
    /// How many rows, 1 to 100.
    pub size: u32,
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The rows in the order of the commits.
    pub calls: Vec<MissedCall>,
    /// Whether more stand behind them.
    pub more: bool,
    /// What the list's ETag is made of.
    pub version: ListVersion,
}

/// Stands for one content of one list in one folder; read it before asking whether a copy is still good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListVersion {
    store_id: String,
    change: i64,
}

impl std::fmt::Display for ListVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{:x}", self.store_id, self.change)
    }
}

impl ListVersion {
    pub(crate) fn new(store_id: &str, change: i64) -> Self {
        Self { store_id: store_id.to_owned(), change }
    }
}

/// A list that is not empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// Whose it is.
    pub of: Recipient,
    /// How many calls wait.
    pub calls: i64,
    /// When the broker took the oldest, and the newest.
    pub taken: (Timestamp, Timestamp),
}
