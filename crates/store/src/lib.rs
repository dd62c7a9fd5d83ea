//! What survives a crash: missed calls, applications, idempotency keys, events for subscribers.
//!
//! Only what is on disk is acknowledged. The store does not know who is connected.
//!
//! It has three floors, and each names only those before it:
//! - *types* say what is kept, and name no database;
//! - an *engine* keeps it. There is one, `sqlite`; all SQL and all of its library are below that folder. A second one is a folder beside it;
//! - the *front* is the [`Store`] that others call. It documents each call and leaves it to the engine. With a second engine it holds an
//!   enum of both.

mod config; // how the store is to behave
pub mod error; // why the store did not do it
pub mod missed; // missed calls, and the versions of their lists
pub mod idempotency; // keys whose call is on disk
pub mod applications; // what becomes of a change to who may post
pub mod documents; // what is read and written as a whole, opaque here
pub mod webhooks; // events for subscribers: queued, due, attempted
pub mod handover; // what a run of the node hands to the next one
pub mod purge; // whose data goes
pub mod backup; // copies of the database, and why there is none
pub mod metrics; // what an operator sees of all this
mod memory; // what is on disk and asked for too often to be read there
mod sqlite; // the engine: one file, one writer
mod front; // what others call

pub use self::config::Config;
pub use self::front::Store;

#[cfg(test)]
mod tests;
