//! bellwire's server, its wiring and its shutdown: from what is known at the bottom to what starts it on top.
//!
//! The order is that of who may name whom: a room names those above it in this list, and none below. A test holds it.

pub mod config; // file, environment and flags → `Config`, or every fault
pub mod metrics; // what an operator sees of the server
pub mod causes; // an error with what it came from
pub mod limits; // how often who may ask
mod slots; // room for connections and sessions
pub mod auth; // token → `Caller`
mod speaker; // for whom a request speaks, and what it may
pub mod idempotency; // a repeated call is answered, not done again
mod documents; // what operators load as a whole, in memory as it is on disk
pub mod directories; // who the negotiators of each customer are
pub mod connectors; // whose callbacks are taken, and what each knows of its calls
pub mod node; // what a request needs
mod memo; // what a connection remembers of the head before
pub mod net; // bytes to requests and back
pub mod telemetry; // spans, exemplars, and their way to OpenTelemetry
mod tell; // what bellwire itself tells subscribers
pub mod dispatch; // where does an event go
mod post; // an event comes in
mod callbacks; // a telephone system's callback, done once
mod handover; // what a run of the node leaves to the next one
mod api; // what can be asked, and how it is answered
mod ops; // the operators' listener
mod workers; // the threads that serve connections
pub mod app; // how it starts and stops
pub mod stopped; // a node that does not serve, for what operators do to its folder
#[cfg(any(test, fuzzing))]
pub mod fuzzing; // what the fuzz targets call
