//! What bellwire costs beside the least that the job allows, and beside other servers.
//!
//! A server is a process of its own; one thread with epoll plays all sessions and all callers, so that the client takes as little of the
//! shared processors as it can. Every event is held against the sessions that it is for: a figure where one was not heard, or was
//! heard twice, does not exist.

mod limit; // the least that the job allows
mod frames; // what servers send
mod install; // programs that this machine may lack
mod subject; // a server that is measured, and how it is spoken to
mod swarm; // sessions and callers, in one thread
mod work; // what is measured
mod results; // figures of all rounds, as a table and as JSON
mod args; // the command line
mod compare; // everything, of every server
mod report; // what a comparison leaves: markdown
mod plot; // and a drawing

pub(crate) use self::args::{Measurement, run};
pub(crate) use self::limit::{LimitArgs, run as run_limit};
