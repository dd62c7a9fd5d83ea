//! Enreach (Benemen): one table of what each of its 34 documented events says of a call.
//!
//! Its documents spell `UserName` and `Username`, and their one real request leaves out members that the tables name: so both
//! spellings are taken, and every member may be missing.

use protocol::time;
use serde_json::{Map, Value};

use crate::callback::{Callback, UnreadableCallback, call_id, key, text};
use crate::fact::{Fact, Note, Party, Reading, Serving, What};
use crate::number;
use crate::people::People;

/// What an event says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    /// The call rings for the user.
    UserRings,
    /// The user took it.
    UserConnected,
    /// The user did not answer.
    UserUnanswered,
    /// The user is out of it.
    UserLeft,
    /// The user's call is over; where nobody is named, all of it.
    UserOver,
    /// The call rings for all who serve the queue.
    QueueRings,
    /// The call left those for whom the queue rang.
    QueueLeft,
    /// The call is over.
    Over,
    /// Who serves the queue.
    Members,
    /// Nothing that a screen would show.
    Nothing,
}

/// Event, and what it says. The last two are names of Enreach's own sample that its tables do not have.
const EVENTS: [(&str, Says); 36] = [
    ("UserCallInComing", Says::UserRings),
    ("UserCallInArrived", Says::UserRings),
    ("UserCallInUserAllocated", Says::UserRings),
    ("UserCallInUserConnected", Says::UserConnected),
    ("UserCallInUserCancelled", Says::UserUnanswered),
    ("UserCallInUserOverflow", Says::UserUnanswered),
    ("UserCallInOverflow", Says::UserUnanswered),
    ("UserCallInDisconnected", Says::UserOver),
    ("UserCallInTransferConnected", Says::UserLeft),
    ("UserCallInTransferStarted", Says::Nothing),
    ("UserCallInTransferCancelled", Says::Nothing),
    ("QueueCallInComing", Says::QueueRings),
    ("QueueCallInArrived", Says::QueueRings),
    ("QueueCallInUserAllocated", Says::UserRings),
    ("QueueCallInUserConnected", Says::UserConnected),
    ("QueueCallInUserCancelled", Says::UserUnanswered),
    ("QueueCallInOverflow", Says::QueueLeft),
    ("QueueCallInTransferConnected", Says::QueueLeft),
    ("QueueCallInDisconnected", Says::Over),
    ("QueueCallInTransferStarted", Says::Nothing),
    ("QueueCallInTransferCancelled", Says::Nothing),
    ("QueueAttachedUsers", Says::Members),
    ("QueueStatus", Says::Nothing),
    ("UserAvailability", Says::Nothing),
    ("UserCallOutConnected", Says::Nothing),
    ("UserCallOutDisconnected", Says::Nothing),
    ("UserCallOutGoing", Says::Nothing),
    ("UserStatus", Says::Nothing),
    ("UserSupervisionStatus", Says::Nothing),
    ("UserWrapUpEnabled", Says::Nothing),
    ("UserWrapUpStarted", Says::Nothing),
    ("UserWrapUpTerminated", Says::Nothing),
    ("CallbackChanged", Says::Nothing),
    ("CallbackListStatus", Says::Nothing),
    ("QueueCallInAllocated", Says::UserRings),
    ("QueueCallInConnected", Says::UserConnected),
];

pub(crate) fn read(
    callback: Callback<'_>,
    members: &Map<String, Value>,
    people: People<'_>,
) -> Result<Reading, UnreadableCallback> {
    let event = callback.event.filter(|event| !event.is_empty()).map_or_else(|| text(members, &["EventType"]), Into::into);
    if event.is_empty() {
        return Err(UnreadableCallback::Missing("EventType"));
    }
    let id = text(members, &["Id"]);
    let reading = Reading::new(if id.is_empty() { key(&[callback.body]) } else { key(&[b"Id", id.as_bytes()]) });
    match EVENTS.iter().find(|(name, _)| *name == event).map(|(_, says)| *says) {
        None => Ok(reading.noted(Note::UnknownEvent)),
        Some(Says::Nothing) => Ok(reading.noted(Note::NoTelephony)),
        Some(Says::Members) => Ok(attached(reading, callback, members)),
        Some(says) => Ok(of_call(reading, says, event.starts_with("Queue"), Source { callback, members, people })),
    }
}

#[derive(Clone, Copy)]
struct Source<'a> {
    callback: Callback<'a>,
    members: &'a Map<String, Value>,
    people: People<'a>,
}

fn of_call(mut reading: Reading, says: Says, hunt_group: bool, source: Source<'_>) -> Reading {
    let Source { callback, members, people } = source;
    let Some(call) = call_id(&text(members, &["CallId"])) else { return reading.noted(Note::NoCall) };
    let at = time::read(&text(members, &["Timestamp"])).unwrap_or_else(|| {
        reading.notes.push(Note::NoTime);
        callback.received
    });
    let user = {
        let names = [&["Username", "UserName"][..], &["UserId"], &["UserNumber"]].map(|names| text(members, names));
        people.party(&names.each_ref().map(AsRef::as_ref))
    };
    if says.is_of_user() && !matches!(user, Some(Party::Known(_))) {
        reading.notes.push(Note::UnknownUser);
    }
    let what = match (says, user) {
        (Says::UserRings, Some(user)) => What::Rings(vec![user]),
        (Says::UserConnected, Some(user)) => What::Connected(user),
        (Says::UserUnanswered, Some(user)) => What::NotAnswered(vec![user]),
        (Says::UserLeft | Says::UserOver, Some(user)) => What::Left(vec![user]),
        (Says::QueueRings, _) => queue_rings(members, people),
        (Says::QueueLeft, _) => What::Unanswered,
        (Says::Over | Says::UserOver, _) => What::Over,
        (Says::UserRings | Says::UserConnected | Says::UserUnanswered | Says::UserLeft, None) => return reading,
        (Says::Members | Says::Nothing, _) => return reading,
    };
    let mut number = |name| {
        number::read(&text(members, &[name])).unwrap_or_else(|| {
            reading.notes.push(Note::NoNumber);
            String::new()
        })
    };
    let numbers = Some((number("CallerNumber"), number("TargetNumber")));
    reading.facts.push(Fact { call, at, what, numbers, hunt_group });
    reading
}

fn queue_rings(members: &Map<String, Value>, people: People<'_>) -> What {
    let names = ["QueueId", "QueueName", "QueueNumber"].map(|name| text(members, &[name]));
    let served = people.members(&names.each_ref().map(AsRef::as_ref));
    What::RingsQueue(text(members, &["QueueId", "QueueName"]).into_owned(), served)
}

/// Who serves a queue: its users by their ids, those who are active in it.
fn attached(mut reading: Reading, callback: Callback<'_>, members: &Map<String, Value>) -> Reading {
    let users = members.get("AttachedUsers").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object);
    let active = users.filter(|user| user.get("Active").and_then(Value::as_bool).unwrap_or(true));
    let users = active.map(|user| text(user, &["UserId"]).into_owned()).collect();
    let at = time::read(&text(members, &["Timestamp"])).unwrap_or(callback.received);
    reading.queue = Some(Serving { queue: text(members, &["QueueId", "EntityId"]).into_owned(), at, users });
    reading
}

impl Says {
    fn is_of_user(self) -> bool {
        matches!(self, Self::UserRings | Self::UserConnected | Self::UserUnanswered | Self::UserLeft | Self::UserOver)
    }
}
