//! One request and the head of its answer, over a connection that can carry more of them one after the other.
//!
//! A connection is two halves: what sends requests, and the [`Driver`], which moves the bytes. The caller runs it in a task of its own
//! or during each exchange.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;

use crate::error::{ExchangeStage, OutboundError, within};
use crate::stream::Stream;

/// The least that the HTTP library takes as the bound of a head.
const HEAD_BYTES_MIN: usize = 8 * 1024;

/// How heads are written and read.
#[derive(Debug, Clone, Copy)]
pub struct Heads {
    /// Bytes of an answer's head at most; also how much of an answer is read in one go. At least 8 KiB.
    pub bytes_max: usize,
    /// Headers of an answer at most.
    pub headers_max: usize,
    /// How the names of a request's headers are written.
    pub case: Case,
}

/// How the names of headers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// `content-type`
    Lower,
    /// `Content-Type`: receivers exist that do not fold it.
    Title,
}

/// Sends requests over one connection.
#[derive(Debug)]
pub struct Connection(SendRequest<Full<Bytes>>);

/// Moves the bytes of one connection until it ends. What ends it is told to the request that it carries.
///
/// Dropped, it ends the connection. Cancel safety: nothing is lost, it goes on where it was.
#[must_use = "a connection moves only while its driver is polled"]
pub struct Driver(Option<http1::Connection<TokioIo<Stream>, Full<Bytes>>>);

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Driver").field(&self.0.is_some()).finish()
    }
}

/// Begins to speak HTTP/1.1 on a stream; nothing is sent yet.
///
/// # Errors
/// [`OutboundError::Broken`].
pub async fn begin(stream: Stream, heads: Heads) -> Result<(Connection, Driver), OutboundError> {
    let mut builder = http1::Builder::new();
    builder.title_case_headers(heads.case == Case::Title);
    builder.max_headers(heads.headers_max).max_buf_size(heads.bytes_max.max(HEAD_BYTES_MIN));
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(OutboundError::Broken)?;
    Ok((Connection(sender), Driver(Some(connection))))
}

impl Connection {
    /// Whether a request can be sent, as far as the driver has noticed.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.0.is_ready()
    }

    /// Whether the connection has ended, as far as the driver has noticed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Waits until a request can be sent, or the connection has ended; returns whether one can be.
    ///
    /// Cancel safety: nothing is lost.
    pub async fn ready(&mut self) -> bool {
        self.0.ready().await.is_ok()
    }

    /// Sends `request` and returns its answer once the head is there. It must have a `Host`.
    ///
    /// Cancel safety: a request that is dropped is broken off, and its connection with it.
    ///
    /// # Errors
    /// [`OutboundError::Unsent`] with the request, [`OutboundError::Head`], [`OutboundError::Broken`],
    /// [`OutboundError::TimedOut`].
    pub async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
        limit: impl Future<Output = ()>,
    ) -> Result<Response<Incoming>, OutboundError> {
        within(ExchangeStage::Head, limit, self.0.try_send_request(request)).await?.map_err(|mut error| {
            match error.take_message() {
                Some(request) => OutboundError::Unsent { request: Box::new(request), source: error.into_error() },
                None => OutboundError::broken(error.into_error()),
            }
        })
    }
}

impl Driver {
    /// Returns what `work` returns, and moves the connection's bytes meanwhile. When the connection ends first, `work` goes on with
    /// what had been read.
    ///
    /// Cancel safety: that of `work`.
    pub async fn during<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        // Cancel safety: both go on where they were.
        tokio::select! {
            biased;
            done = work.as_mut() => done,
            () = self => work.await,
        }
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(connection) = &mut self.0 {
            // What went wrong is told to the request.
            drop(ready!(Pin::new(connection).poll(cx)));
            self.0 = None;
        }
        Poll::Ready(())
    }
}
