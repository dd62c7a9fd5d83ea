//! What a socket must be able to take, so that any thread can write to a session.

use std::fmt::Debug;
use std::io::{self, IoSlice};
use std::task::{Context, Poll};

/// The writing half of a socket, shared by all who have something for the client.
pub trait WayOut: Debug + Send + Sync {
    /// Writes as much of these as there is room for, and never waits.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] where there is no room, else why the connection is broken.
    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Writes as much of these as there is room for; where there is none, the caller is woken when there is.
    fn poll_write(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>>;

    /// Flushes what was taken and is still held: TLS may hold bytes back, a plain socket never does.
    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}
