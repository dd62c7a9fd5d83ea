//! The ways out of the house: who is trusted, how an address is dialled, one HTTP/1.1 exchange within bounds.
//!
//! Below everything that asks others: webhooks, the keys of issuers, the client and the commands. It has no clock and no tasks: a
//! limit of time is a future of the caller's, and the caller drives the connection. It must never choose where a connection leads:
//! it connects to the addresses that it is given, which may have been vetted, and follows no redirect.

pub mod error; // why there is no answer
pub mod trust; // who is trusted to say whose a certificate is
pub mod dial; // names → addresses → a connected socket
pub mod stream; // a connection's bytes, plain or secured
pub mod exchange; // one request and the head of its answer
pub mod body; // the rest of the answer
pub mod pool; // connections that wait for their next request
