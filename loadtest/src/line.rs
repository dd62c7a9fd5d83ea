//! What a process of desktops tells the soak, a line each.

use std::fmt;

/// A state of a call, in the order of the calls' life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum State {
    Incoming,
    Answered,
    Ended,
    Missed,
}

/// How a session began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Resume {
    New,
    Full,
    None,
}

/// What happened at a desktop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    Opened {
        resume: Resume,
        cursor: String,
        calls: Vec<u64>,
    },
    Event {
        call: u64,
        state: State,
        cursor: String,
    },
    /// A call came that had stopped ringing by then, and did not pop.
    TooLate {
        call: u64,
        cursor: String,
    },
    Away {
        code: u16,
    },
    Stopped {
        code: u16,
    },
    Repeats {
        count: u64,
    },
    /// Nothing is read for so long, in milliseconds.
    Stalls {
        millis: i64,
    },
}

/// A line: what happened at which desktop, in milliseconds of Unix time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DesktopLine {
    pub(crate) desktop: usize,
    pub(crate) at: i64,
    pub(crate) what: What,
}

impl State {
    pub(crate) const ALL: [(Self, &'static str); 4] = [
        (Self::Incoming, "incomingCall"),
        (Self::Answered, "answeredCall"),
        (Self::Ended, "endedCall"),
        (Self::Missed, "missedCall"),
    ];

    pub(crate) fn sub_type(self) -> &'static str {
        Self::ALL.iter().find(|(state, _)| *state == self).map_or("", |(_, name)| name)
    }

    pub(crate) fn of(sub_type: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, name)| *name == sub_type).map(|(state, _)| *state)
    }
}

impl Resume {
    pub(crate) const ALL: [(Self, &'static str); 3] = [(Self::New, "new"), (Self::Full, "full"), (Self::None, "none")];

    pub(crate) fn of(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, other)| *other == name).map(|(resume, _)| *resume)
    }
}

/// A call's id on the wire.
pub(crate) fn call_id(call: u64) -> String {
    format!("k{call}")
}

/// The call of an id.
pub(crate) fn call_of(id: &str) -> Option<u64> {
    id.strip_prefix('k')?.parse().ok()
}

impl fmt::Display for DesktopLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ", self.desktop, self.at)?;
        match &self.what {
            What::Opened { resume, cursor, calls } => {
                let name = Resume::ALL.iter().find(|(other, _)| other == resume).map_or("", |(_, name)| name);
                write!(f, "opened {name} {cursor}")?;
                calls.iter().try_for_each(|call| write!(f, " {call}"))
            }
            What::Event { call, state, cursor } => write!(f, "event {call} {} {cursor}", state.sub_type()),
            What::Away { code } => write!(f, "away {code}"),
            What::Stopped { code } => write!(f, "stopped {code}"),
            What::TooLate { call, cursor } => write!(f, "too-late {call} {cursor}"),
            What::Repeats { count } => write!(f, "repeats {count}"),
            What::Stalls { millis } => write!(f, "stalls {millis}"),
        }
    }
}

/// Reads a line; `None` where it was cut off with its process.
pub(crate) fn parse(line: &str) -> Option<DesktopLine> {
    let mut words = line.split(' ');
    let (desktop, at) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let what = match words.next()? {
        "opened" => What::Opened {
            resume: Resume::of(words.next()?)?,
            cursor: words.next()?.to_owned(),
            calls: words.map(|call| call.parse().ok()).collect::<Option<_>>()?,
        },
        "event" => {
            What::Event { call: words.next()?.parse().ok()?, state: State::of(words.next()?)?, cursor: words.next()?.to_owned() }
        }
        "away" => What::Away { code: words.next()?.parse().ok()? },
        "stopped" => What::Stopped { code: words.next()?.parse().ok()? },
        "too-late" => What::TooLate { call: words.next()?.parse().ok()?, cursor: words.next()?.to_owned() },
        "repeats" => What::Repeats { count: words.next()?.parse().ok()? },
        "stalls" => What::Stalls { millis: words.next()?.parse().ok()? },
        _ => return None,
    };
    Some(DesktopLine { desktop, at, what })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let whats = [
            What::Opened { resume: Resume::Full, cursor: "ab".to_owned(), calls: vec![1, 22] },
            What::Opened { resume: Resume::New, cursor: "ab".to_owned(), calls: Vec::new() },
            What::Event { call: 3, state: State::Ended, cursor: "cd".to_owned() },
            What::Away { code: 1006 },
            What::Stopped { code: 4001 },
            What::TooLate { call: 4, cursor: "ef".to_owned() },
            What::Repeats { count: 2 },
            What::Stalls { millis: 5_000 },
        ];
        for what in whats {
            let line = DesktopLine { desktop: 7, at: 1_700_000_000_000, what };
            assert_eq!(parse(&line.to_string()), Some(line));
        }
        assert_eq!(parse("7 17000000"), None);
    }
}
