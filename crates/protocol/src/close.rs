//! Why a session ended, and what its client does next: one rule by the hundred, so that a client author needs no list.

/// A WebSocket close code that the broker sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseCode {
    /// The session was closed by its client.
    LoggedOut,
    /// The frames broke RFC 6455.
    Protocol,
    /// A binary frame: messages are text.
    Binary,
    /// A text frame that is not UTF-8 or not JSON.
    Unreadable,
    /// A message over 16 KiB.
    TooLarge,
    /// The broker failed.
    Internal,
    /// The broker restarts.
    Restarting,
    /// The broker is short of memory, and this session kept the most of it waiting.
    Overloaded,
    /// The token is not good.
    TokenRefused,
    /// The token's product or scope does not allow sessions.
    Forbidden,
    /// The same device opened another session.
    Replaced,
    /// An operator closed it, or it was the oldest of too many.
    Evicted,
    /// The node has no room for the session.
    NodeFull,
    /// More than 20 messages in a second.
    TooManyMessages,
    /// A ping was not answered.
    NoPong,
    /// The session's queue was full.
    Slow,
    /// The token expired, and no other came in time.
    TokenExpired,
}

/// What a client does after a close.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaction {
    /// Stays away.
    Stop,
    /// Reports the fault, tries once more, then stays away.
    ReportAndTryOnce,
    /// Comes back after a while.
    BackOff,
    /// Comes back at once, with its cursor.
    Resume,
}

impl CloseCode {
    /// All of them, by number.
    pub const ALL: [Self; 17] = [
        Self::LoggedOut,
        Self::Protocol,
        Self::Binary,
        Self::Unreadable,
        Self::TooLarge,
        Self::Internal,
        Self::Restarting,
        Self::Overloaded,
        Self::TokenRefused,
        Self::Forbidden,
        Self::Replaced,
        Self::Evicted,
        Self::NodeFull,
        Self::TooManyMessages,
        Self::NoPong,
        Self::Slow,
        Self::TokenExpired,
    ];

    /// The number on the wire, and the reason beside it.
    #[must_use]
    pub fn on_the_wire(self) -> (u16, &'static str) {
        match self {
            Self::LoggedOut => (1000, "logged out"),
            Self::Protocol => (1002, "protocol error"),
            Self::Binary => (1003, "binary frame: messages are JSON text"),
            Self::Unreadable => (1007, "not UTF-8 or not JSON"),
            Self::TooLarge => (1009, "message over 16 KiB"),
            Self::Internal => (1011, "internal error"),
            Self::Restarting => (1012, "restarting"),
            Self::Overloaded => (1013, "overloaded"),
            Self::TokenRefused => (4001, "token refused"),
            Self::Forbidden => (4003, "scope or product not allowed"),
            Self::Replaced => (4005, "replaced by the same device"),
            Self::Evicted => (4006, "logged out by an operator, or too many sessions"),
            Self::NodeFull => (4100, "node full"),
            Self::TooManyMessages => (4101, "more than 20 messages a second"),
            Self::NoPong => (4201, "no pong"),
            Self::Slow => (4202, "too slow"),
            Self::TokenExpired => (4203, "token expired"),
        }
    }
}

/// What a client does after a close with `code`; a line that broke without one counts as 1006.
#[must_use]
pub fn reaction(code: u16) -> Reaction {
    match code {
        1000 | 4000..4100 => Reaction::Stop,
        1002 | 1003 | 1007 | 1009 => Reaction::ReportAndTryOnce,
        1011 | 1013 | 4100..4200 => Reaction::BackOff,
        _ => Reaction::Resume,
    }
}

#[cfg(test)]
mod tests;
