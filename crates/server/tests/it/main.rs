//! bellwire through its real door: sockets, files and processes.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, and its helpers do so too"
)]

mod program; // the program as a process, and a disk that fails
mod receiver; // a receiver of webhooks that does what it is told
mod provider; // an identity provider that does what it is told
mod webhooks; // subscriptions and deliveries
mod support; // a node on free ports, tokens, clients

mod notifications; // taking events
mod missed; // polling and taking away
mod sessions; // the WebSocket
mod receipts; // what became of an event
mod connectors; // telephone systems' own callbacks, the directory
mod tls; // TLS, HTTP/2, proxies
mod keys; // where an issuer's keys come from
#[cfg(feature = "otlp")]
mod telemetry; // traces over OTLP
mod frequent; // the reader of its own that frequent requests have
mod readers; // both readers, whatever is sent
mod limits; // what happens at each bound
mod operators; // probes, metrics, applications
mod browser; // the example page in Chromium
mod load; // a thousand sessions, twenty thousand events
mod process; // the program: signals, crashes, full disks
mod commands; // what operators say to it
mod pages; // what the pages name, and the program
