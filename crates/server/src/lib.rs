//! The door, the wiring and the shutdown of bellwire, in the order in which a request passes them.

pub mod config; // file, environment and flags → `Config`, or every fault
pub mod causes; // an error with what it came from
pub mod app; // what a node is made of, and how it starts and stops
pub mod stopped; // a node that does not serve, for what operators do to its folder
mod workers; // the threads that serve connections
pub mod telemetry; // spans, exemplars, and their way to OpenTelemetry
pub mod net; // bytes to requests and back
mod api; // what can be asked, and how it is answered
mod ops; // the operators' listener
pub mod auth; // token → `Caller`
pub mod limits; // how often who may ask
pub mod idempotency; // a repeated call is answered, not done again
mod documents; // what operators load as a whole, in memory as it is on disk
pub mod directories; // who the negotiators of each customer are
pub mod connectors; // whose callbacks are taken, and what each knows of its calls
pub mod dispatch; // where does an event go
mod tell; // what bellwire itself tells subscribers
pub mod metrics; // what an operator sees of the door
#[cfg(any(test, fuzzing))]
pub mod fuzzing; // the door of the fuzz targets
