//! Frequent requests over HTTP/1.1, read without the HTTP library: an event of which head and body came at one time, a desktop's
//! hand-shake.
//!
//! Nearly all that a provider sends is one kind of request, over a connection that stays, and nearly all other connections become
//! sessions. The library's way (a task's worth of states, a map of headers, a channel for the body, another for the socket) had a sixth
//! of the instructions of an event; and it sends the answer to a hand-shake by itself, which here goes out with the session's first word.
//! So a connection begins here. Only the bytes are double: what is read is answered by the same [`Service`], and what is not plain, in
//! whatever way (`begun::plain_length`), is not judged here: the connection is left to the library for good, with the bytes that were read.
//!
//! Who sends several events without waiting for the answers (RFC 9112 §9.3.2) has those that came together answered together, up to 32
//! of them, and up to the first that has to wait for the disk: what a call of the kernel costs is most of what an event costs, and so
//! it is shared.

mod begun; // what bytes begin with
mod remembered; // the bytes of the head before
mod buffer; // what was read and is not answered yet
mod answers; // what is yet to be sent

use std::future::{self, poll_fn};
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use futures::FutureExt;
use hyper::Method;
use sessions::session::Upgraded;

use self::answers::Answers;
use self::begun::Begun;
use self::buffer::Buffer;
use self::remembered::Remembered;
use super::answer::put_answer;
use super::connection::Connection;
use super::request::{Body, Head, HeadParts, Request};
use super::service::{Answer, Service, Upgrade};
use super::stream::{Phase, Stream};
use crate::memo::Memo;

/// What a connection knows of the request before: the bytes of its head, and what they said.
#[derive(Debug, Default)]
struct Before {
    head: Option<Box<Remembered>>,
    memo: Memo,
}

/// What became of the bytes that the buffer begins with.
enum Step {
    /// A request of so many bytes was answered.
    Answered(usize),
    /// So was one that takes the connection over, behind this answer.
    Upgraded { bytes: usize, head: Vec<u8>, upgrade: Upgrade },
    /// Something of a request is missing.
    Part,
    /// They are for the library.
    Other,
}

impl<S: Service> Connection<S> {
    /// Answers requests as long as they are frequent and plain. Returns what was read of another; `None`: the connection ends.
    pub(super) async fn answer_frequent(&self) -> Option<Vec<u8>> {
        let mut stream = self.stream.clone();
        let mut buffer = self.first_bytes(&mut stream).await?;
        let (mut before, mut answers) = (Before::default(), Answers::default());
        loop {
            let step = self.answer_next(buffer.unanswered(), &mut before, &mut answers).await;
            if !matches!(step, Step::Answered(_)) {
                answers.send(&mut stream).await?;
            }
            match step {
                Step::Answered(bytes) => buffer.answer(bytes),
                Step::Upgraded { bytes, head, upgrade } => {
                    buffer.answer(bytes);
                    let early = Bytes::copy_from_slice(buffer.unanswered());
                    stream.enter(Phase::Upgraded);
                    upgrade(Box::pin(future::ready(Some(Upgraded { io: stream, early, head: Some(head.into()) }))));
                    return None;
                }
                Step::Part if buffer.more_came(&mut stream).await => continue,
                Step::Part | Step::Other => return Some(buffer.unanswered().to_vec()),
            }
            let rest = buffer.rest();
            if rest.is_none() || answers.are_due() {
                answers.send(&mut stream).await?;
            }
            buffer = match rest {
                Some(rest) => rest,
                None => self.first_bytes(&mut stream).await?,
            };
        }
    }

    /// Answers the request that `bytes` begin with, and puts its answer to the others.
    async fn answer_next(&self, bytes: &[u8], before: &mut Before, answers: &mut Answers) -> Step {
        let (mut room, taken) = (None, self.node.clock.moment());
        let known = before.head.as_deref().filter(|_| before.memo.holds(taken.wall));
        let is_frequent = |method: &Method, path: &str| self.service.is_frequent(method, path);
        let whole = match Begun::read(bytes, &mut room, known, is_frequent) {
            Begun::Whole(whole) => whole,
            Begun::Part => return Step::Part,
            Begun::Other => return Step::Other,
        };
        self.stream.enter(Phase::Busy);
        before.memo.begin(whole.is_same);
        let (method, headers) = (&whole.method, whole.headers);
        let parts = HeadParts { method, path: whole.path, query: whole.query, headers, peer: self.peer.ip(), taken };
        let request = Request { head: Head(&parts), body: Body::Here(whole.body), memo: &mut before.memo };
        let mut answer = self.take(request, answers).await;
        let (bytes_read, head_bytes) = (whole.bytes, whole.bytes - whole.body.len());
        if before.memo.is_new() {
            before.head = bytes.get(..head_bytes).and_then(Remembered::new).map(Box::new);
        }
        match answer.upgrade.take() {
            Some(upgrade) => {
                let mut head = Vec::new();
                put_answer(&mut head, &answer, taken, false);
                Step::Upgraded { bytes: bytes_read, head, upgrade }
            }
            None => {
                answers.put(&answer, taken, self.is_stopping());
                Step::Answered(bytes_read)
            }
        }
    }

    /// Has a request answered.
    ///
    /// One that has begun is finished before anything is sent: that nobody hears the answers before it must not end it half way.
    async fn take(&self, request: Request<'_>, answers: &mut Answers) -> Answer {
        let mut answering = pin!(self.service.answer(request));
        match answering.as_mut().now_or_never() {
            Some(answer) => answer,
            None => {
                // Those before have waited with it for the disk: not for another one.
                answers.have_waited();
                answering.await
            }
        }
    }

    /// Waits for a request, or for the node's shutdown. An idle connection holds no buffer, but for the head that it remembers.
    async fn first_bytes(&self, stream: &mut Stream) -> Option<Buffer> {
        poll_fn(|cx| {
            let mut buffer = Buffer::new();
            match buffer.poll_fill(stream, cx) {
                Poll::Ready(Ok(1..)) => Poll::Ready(Some(buffer)),
                Poll::Pending if !self.is_stopping() => Poll::Pending,
                Poll::Ready(_) | Poll::Pending => Poll::Ready(None),
            }
        })
        .await
    }
}
