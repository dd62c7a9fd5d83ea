//! What a connection remembers of the head before.
//!
//! Many providers send the same head again and again with another length, and what it says stays said: to find that out anew was a
//! sixth of the instructions of an event. Who reads the bytes says whether a head is the same; who identifies the caller keeps here
//! what it said. What may have changed meanwhile is asked each time: whether the token still holds, what the application may, and
//! the rates.

use jiff::Timestamp;
use protocol::id::CustomerId;

use crate::auth::Verified;

/// The memo of one connection: passed down with each request, never up.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    said: Option<Box<Said>>,
    /// Whether the request's head is the one that said it.
    is_same: bool,
    /// Whether it was learned from the request's head.
    is_new: bool,
}

/// What the head of an event said that was good, and can be said again.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub(crate) verified: Verified,
    pub(crate) customer: CustomerId,
    /// Whether the caller asks what became of the event.
    pub(crate) represent: bool,
}

impl Memo {
    /// Whether what it holds is still so: the token is good.
    pub(crate) fn holds(&self, now: Timestamp) -> bool {
        self.said.as_ref().is_some_and(|said| said.verified.is_good(now))
    }

    /// Says of the next request whether its head is the one that was learned from.
    pub(crate) fn begin(&mut self, is_same: bool) {
        (self.is_same, self.is_new) = (is_same, false);
    }

    /// Returns what the request's head says, where it is the one that was learned from.
    pub(crate) fn recall(&self) -> Option<&Said> {
        self.said.as_deref().filter(|_| self.is_same)
    }

    /// Keeps what the request's head said. One a token is enough: heads that are others each time are not remembered each time.
    pub(crate) fn learn(&mut self, said: Said) {
        if self.said.as_ref().is_none_or(|known| !known.verified.is(&said.verified)) {
            (self.said, self.is_new) = (Some(Box::new(said)), true);
        }
    }

    /// Returns whether the request's head was learned from.
    pub(crate) fn is_new(&self) -> bool {
        self.is_new
    }
}

/// Whether both are the same. Looks at all of both, so that the time that it takes does not tell how much of a token was guessed.
pub(crate) fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |differs, (one, other)| differs | (one ^ other)) == 0
}

#[cfg(test)]
mod tests {
    use clock::Clock;

    use super::*;

    fn said(expires: Timestamp) -> Said {
        let customer = CustomerId::parse("SBOX").unwrap();
        Said { verified: Verified::of_nobody(expires), customer, represent: false }
    }

    #[test]
    fn what_was_said_holds_no_longer_than_its_token_and_the_key_of_it() {
        let (mut memo, expires) = (Memo::default(), Clock::system().now());
        assert!(!memo.holds(expires));
        memo.learn(said(expires));
        assert!(memo.holds(expires), "clocks can be apart");
        assert!(!memo.holds(expires + jiff::SignedDuration::from_secs(60)));
        memo.said.as_ref().unwrap().verified.withdraw();
        assert!(!memo.holds(expires), "its issuer does not sign with that key any more");
    }

    #[test]
    fn only_the_same_head_says_it_again_and_one_token_is_learned_once() {
        let (mut memo, said) = (Memo::default(), said(Timestamp::MAX));
        memo.begin(false);
        memo.learn(said.clone());
        assert!(memo.is_new() && memo.recall().is_none());
        memo.begin(true);
        assert!(memo.recall().is_some());
        memo.begin(false);
        memo.learn(said);
        assert!(!memo.is_new() && memo.recall().is_none(), "another head of the same token");
    }
}
