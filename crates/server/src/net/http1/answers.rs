//! What is answered and yet to be sent.

use clock::Moment;
use sessions::outbox::gather::yield_to_ready;
use tokio::io::AsyncWriteExt;

use crate::net::answer::{ends_connection, put_answer};
use crate::net::service::Answer;
use crate::net::stream::{Phase, Stream};

/// How many requests of a connection are answered together: then others have their turn.
const TOGETHER_MAX: usize = 32;
/// Answers that are yet to be sent.
#[derive(Default)]
pub(super) struct Answers {
    text: Vec<u8>,
    count: usize,
    have_waited: bool,
    /// The connection ends with the last of them.
    end: bool,
}

impl Answers {
    /// Puts an answer behind the others; the last one of a node that stops, or where it says so itself.
    pub(super) fn put(&mut self, answer: &Answer, taken: Moment, is_stopping: bool) {
        self.end = is_stopping || ends_connection(&answer.response);
        self.count += 1;
        put_answer(&mut self.text, answer, taken, self.end);
    }

    /// They have waited with a request, and do not wait with another.
    pub(super) fn have_waited(&mut self) {
        self.have_waited = true;
    }

    /// Whether they go out before another request is taken.
    pub(super) fn are_due(&self) -> bool {
        self.have_waited || self.end || self.count >= TOGETHER_MAX
    }

    /// Sends them, once the requests that are ready by now have been taken. `None`: the connection ends with them.
    pub(super) async fn send(&mut self, stream: &mut Stream) -> Option<()> {
        let Self { text, end, .. } = std::mem::take(self);
        if text.is_empty() {
            return Some(());
        }
        yield_to_ready().await;
        stream.enter(Phase::Idle);
        stream.write_all(&text).await.ok()?;
        // A line with TLS can hold what the socket does not take.
        stream.flush().await.ok().filter(|()| !end)
    }
}

#[cfg(test)]
mod tests;
