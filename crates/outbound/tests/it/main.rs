//! Over real sockets of this machine: what a peer does at each stage, and what is said of it.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod support; // peers that do what a test tells them to

mod dialling; // several addresses, limits
mod secured; // certificates, names, hand-shakes
mod answers; // heads and bodies at their bounds
mod kept; // connections that wait
