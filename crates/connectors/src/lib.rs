//! Other telephony systems' own webhooks, turned into envelopes.
//!
//! Pure: a callback's bytes and headers go in, and out come facts about a call, of which the events for a customer's people are
//! made. These systems deliver at least once and in any order; so a call is what all facts about it say, by their own times, and
//! not what the last callback said.

pub mod callback; // a callback as it comes in
pub mod vendor; // the systems that are understood, one file each: a callback → facts
pub mod fact; // what callbacks say, whoever sent them
pub mod people; // a vendor's names → negotiators
mod number; // what is a telephone number
pub mod state; // the calls of a connector, bounded
mod call; // facts → what each person is to be told
pub mod action; // what is to be posted or taken back
