//! Posting events to subscribers until they are taken or given up.
//!
//! Endpoints are scheduled, not deliveries: each has its own queue, and one that hangs or is dead costs the others nothing. What a
//! vendor's webhooks do differently is data (a profile); the engine does not know its name. Nothing here knows who is connected.

pub mod url; // a callback URL: what is accepted, and when two are the same
pub mod guard; // which addresses may be connected to
pub mod event; // what happened, as it is kept
pub mod change; // what differs between two versions
pub mod profile; // how a vendor's webhooks behave, as data
pub mod render; // the bodies that profiles send
pub mod seal; // secrets at rest
pub mod sign; // by what a receiver knows who sends
pub mod verdict; // what an attempt means
pub mod health; // how the receivers behind a callback URL are
pub mod report; // what other systems report
pub mod header; // headers of an owner's own
pub mod subscription; // which topics and customers go where
pub mod vendor; // the same, in vendors' own words
pub mod book; // all subscriptions, made ready
pub mod schedule; // whose turn it is
pub mod sender; // one request over a connection that is kept
pub mod metrics; // what an operator sees of all this
pub mod engine; // all of it at work
