//! What an event, a session and a hand-shake cost, beside the least that the job allows.
//!
//! One thread with epoll plays all sessions and all callers, so that the client takes as little of the shared processors as it can.

mod limit; // the least that the job allows
mod swarm; // sessions and callers, in one thread
mod frames; // what servers send
mod subject; // a server that is measured, and how it is spoken to
mod work; // what is measured

pub(crate) use self::limit::{LimitArgs, run as run_limit};
pub(crate) use self::work::{WireArgs, run};
