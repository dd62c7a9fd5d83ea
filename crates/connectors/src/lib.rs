//! Other telephony systems' own webhooks, turned into envelopes.
//!
//! Pure: a callback's bytes and headers go in, and out come facts about a call ([`callback`]), of which `call` makes envelopes.
//! These systems deliver at least once and in any order; so a call is what all facts about it say, by their own times, and not what
//! the last callback said.

pub mod vendor; // the systems that are understood
pub mod callback; // what a callback says, whoever sent it
mod enreach; // Enreach (Benemen): users and queues
mod avaya; // Avaya Experience Platform: engagements and participants
mod apirtc; // ApiRTC (Apizee): tickets and conversations
mod number; // what is a telephone number
pub mod people; // a vendor's names → negotiators
mod call; // facts → what each person is to be told
pub mod state; // the calls of a connector, bounded
pub mod action; // what is to be posted or taken back
