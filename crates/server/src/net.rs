//! Bytes to requests and back: accepting, capping, timing out.
//!
//! It names no route and knows no event: a listener is given its `Service`, which answers what is read here. Requests are read by
//! one of two readers. Those that nearly all are have one of their own (`http1`); what may mean more than they do is left to the
//! HTTP library (`library`). Both give the same `request::Request`, so that everything behind them is there once.

pub mod listener; // where connections come in
pub(crate) mod accept; // a connection, from the kernel to the runtime that serves it
pub mod tls; // certificates, hand-shakes, records
pub(crate) mod proxies; // whose a connection or a request is
pub(crate) mod stream; // the two directions of a socket, and its phase
mod answer; // an answer as bytes
mod connection; // one socket, from its first byte to its last
mod deadline; // how long it can be in each phase
mod http1; // frequent requests, read without the HTTP library
mod library; // all others, over HTTP/1.1 and HTTP/2
pub(crate) mod headers; // what is asked of headers, whoever has read them
pub(crate) mod request; // what a reader gives
pub(crate) mod service; // who answers it
pub(crate) mod outgoing; // bodies that are sent
