//! A connection's records. Both directions share one state, and whoever has an event for a session writes to it: so it stands behind
//! a lock, and not in a stream of its own.

use std::io::{self, IoSlice, Read, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::ReadBuf;
use tokio::net::TcpStream;
use tokio_rustls::rustls::ServerConnection;

/// How much of what was written can be kept here while the socket takes nothing. It is small so that a slow line counts as taking
/// something when it does.
const UNSENT_BYTES_MAX: usize = 4 * 1024;

/// The TLS of one connection, after its hand-shake. What it takes may wait for a flush.
#[derive(Debug)]
pub(crate) struct TlsLine {
    // Guards the records of both directions; never held while something is waited for.
    connection: Mutex<ServerConnection>,
}

/// The socket, as far as it goes without waiting.
struct Socket<'a>(&'a TcpStream);

impl Read for Socket<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buf)
    }
}

impl Write for Socket<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.try_write(buf)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(bufs)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl TlsLine {
    pub(super) fn new(mut connection: ServerConnection) -> Self {
        connection.set_buffer_limit(Some(UNSENT_BYTES_MAX));
        Self { connection: Mutex::new(connection) }
    }

    pub(crate) fn poll_read(&self, socket: &TcpStream, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut connection = self.lock();
        loop {
            match connection.reader().read(buf.initialize_unfilled()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
                Ok(count) => {
                    buf.advance(count);
                    return Poll::Ready(Ok(()));
                }
            }
            ready!(socket.poll_read_ready(cx))?;
            match connection.read_tls(&mut Socket(socket)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
                Ok(_) => process(&mut connection, socket)?,
            }
        }
    }

    pub(crate) fn poll_write(&self, socket: &TcpStream, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let mut connection = self.lock();
        ready!(poll_out(&mut connection, socket, cx))?;
        let taken = connection.writer().write_vectored(bufs)?;
        match poll_out(&mut connection, socket, cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(taken)),
        }
    }

    pub(crate) fn poll_flush(&self, socket: &TcpStream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        poll_out(&mut self.lock(), socket, cx)
    }

    /// Says that nothing more will come (RFC 8446 §6.1).
    pub(crate) fn poll_close(&self, socket: &TcpStream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut connection = self.lock();
        connection.send_close_notify();
        poll_out(&mut connection, socket, cx)
    }

    fn lock(&self) -> MutexGuard<'_, ServerConnection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes records apart. A client that breaks the protocol is told by an alert, as far as its socket takes one.
fn process(connection: &mut ServerConnection, socket: &TcpStream) -> io::Result<()> {
    connection.process_new_packets().map(drop).map_err(|error| {
        let told = connection.write_tls(&mut Socket(socket));
        tracing::debug!(%error, ?told, "a client broke TLS");
        io::Error::new(io::ErrorKind::InvalidData, error)
    })
}

fn poll_out(connection: &mut ServerConnection, socket: &TcpStream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    while connection.wants_write() {
        match connection.write_tls(&mut Socket(socket)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(socket.poll_write_ready(cx))?,
            Err(error) => return Poll::Ready(Err(error)),
        }
    }
    Poll::Ready(Ok(()))
}
