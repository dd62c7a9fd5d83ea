//! What holds for each person in a call, and what of it is news to them.
//!
//! Three passes: what happened, ringing by ringing ([`Ringings`]); the verdict for each person; and how that differs from what
//! they were told, which is then noted as told.

use std::collections::BTreeMap;

use jiff::Timestamp;
use protocol::envelope::TARGETS_MAX;
use protocol::payload::SubType;

use super::ringing::{MissedRinging, Ringing, Ringings};
use super::{Call, Level, User};
use crate::action::{Action, Post};
use crate::fact::Party;

/// What is so for one person, whatever they were told.
#[derive(Debug)]
struct Verdict<'r> {
    party: &'r Party,
    /// The last ringing that they missed, where they took the call neither then nor later.
    missed: Option<MissedRinging>,
    /// When the last ringing began; `None` where only its end is known.
    begun: Option<Timestamp>,
    /// Whether it rang but once.
    is_only_ringing: bool,
    /// What holds now, in the order in which it is to be told: one thing, or two where both became known at once.
    holds: Vec<Holds<'r>>,
}

/// What holds for a person.
#[derive(Debug)]
struct Holds<'r> {
    told: Level,
    /// Since when.
    at: Timestamp,
    /// Who took the call, where that is known.
    by: Option<&'r Party>,
    hunt_group: bool,
}

/// An event, which goes to everybody to whom it says the same; in the order in which they are posted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Notice {
    at: Timestamp,
    sub_type: SubType,
    by: Option<Party>,
    hunt_group: bool,
}

/// What is news, and to whom.
#[derive(Debug, Default)]
struct News {
    /// Whose missed call is to go: they had taken it.
    retracted: Vec<String>,
    notices: BTreeMap<Notice, Vec<String>>,
}

impl Call {
    /// Works out what holds for everybody, and returns what is to be done about what they were not told of it.
    pub(super) fn settle(&mut self, call: &str) -> Vec<Action> {
        let ringings = Ringings::of(self);
        let verdicts = ringings.iter().map(|(party, own)| Verdict::on(party, own, &ringings));
        let mut news = News::default();
        for verdict in verdicts {
            // Who is no negotiator is told nothing; that they took a call matters to the others.
            if let (Party::Known(name), Some(user)) = (verdict.party, self.users.get_mut(verdict.party)) {
                user.learn(&verdict, name, &mut news);
            }
        }
        let retractions = news.retracted.into_iter().map(|negotiator| Action::Retract { negotiator, call: call.to_owned() });
        let posts = news.notices.into_iter().flat_map(|(notice, names)| self.posts(call, &notice, &names));
        retractions.chain(posts.map(Action::Post)).collect()
    }

    /// Returns the events of a notice: one, or several where there are more people than an event can have.
    fn posts(&self, call: &str, notice: &Notice, names: &[String]) -> Vec<Post> {
        let (caller, called) = self.numbers.clone().unwrap_or_default();
        let answered_by = match &notice.by {
            Some(Party::Known(name)) => Some(name),
            Some(Party::Unknown(_)) | None => None,
        };
        let posts = names.chunks(TARGETS_MAX).map(|targets| Post {
            sub_type: notice.sub_type,
            targets: targets.to_vec(),
            call: call.to_owned(),
            at: notice.at,
            caller: caller.clone(),
            called: called.clone(),
            hunt_group: notice.hunt_group,
            answered_by: answered_by.cloned(),
        });
        posts.collect()
    }
}

impl<'r> Verdict<'r> {
    fn on(party: &'r Party, own: &[Ringing], all: &'r Ringings) -> Self {
        let not_taken_since = own.iter().rev().take_while(|one| one.connected.is_none());
        let missed = not_taken_since.filter_map(|one| one.missed(party, all)).next();
        let last = own.last();
        Self {
            party,
            missed,
            begun: last.and_then(|last| last.begun),
            is_only_ringing: own.len() == 1,
            holds: last.map(|last| holds(last, party, all)).unwrap_or_default(),
        }
    }
}

/// Returns what holds for a person, from the last ringing.
fn holds<'r>(last: &Ringing, party: &'r Party, all: &'r Ringings) -> Vec<Holds<'r>> {
    let hunt_group = last.hunt_group;
    let holds = |told, at, by| Holds { told, at, by, hunt_group };
    let rings = last.begun.map(|begun| holds(Level::Rings, begun, None));
    if let Some(connected) = last.connected {
        let by = Some(party).filter(|_| connected.alone);
        return match last.ended {
            Some(ended) => vec![holds(Level::Over, ended.at, by)],
            // Where both became known at once, the pop comes first.
            None => rings.filter(|_| last.rang).into_iter().chain([holds(Level::Answered, connected.at, by)]).collect(),
        };
    }
    match (last.taken_by_other(party, all), last.ended) {
        // It is over here when it is over for the one who took it.
        (Some(taken), _) => match taken.ended {
            Some(ended) => vec![holds(Level::Over, ended, taken.by)],
            None => vec![holds(Level::Answered, taken.at, taken.by)],
        },
        (None, Some(ended)) => vec![holds(Level::Over, ended.at, None)],
        (None, None) => rings.into_iter().collect(),
    }
}

impl User {
    /// Compares the verdict with what this person was told, notes it as told, and adds what is news to them.
    fn learn(&mut self, verdict: &Verdict<'_>, name: &str, news: &mut News) {
        let newly_missed = verdict.missed.filter(|_| !self.is_missed);
        if let Some(MissedRinging { at, hunt_group, .. }) = newly_missed {
            news.tell(name, Notice { at, sub_type: SubType::MissedCall, by: None, hunt_group });
        }
        if self.is_missed && verdict.missed.is_none() {
            news.retracted.push(name.to_owned());
        }
        self.is_missed = verdict.missed.is_some();
        for holds in &verdict.holds {
            if self.knows(verdict.begun, holds.told) {
                continue;
            }
            let before = self.told.replace((verdict.begun.unwrap_or(holds.at), holds.told));
            let is_off_the_screen = match before {
                // A missed call takes its ringing off the screen; nothing else.
                Some((rang, Level::Rings)) => newly_missed.and_then(|missed| missed.begun).is_some_and(|missed| rang <= missed),
                Some((_, Level::Answered | Level::Over)) => false,
                None => self.is_missed && verdict.is_only_ringing,
            };
            if !(is_off_the_screen && holds.told == Level::Over) {
                news.tell(name, holds.notice());
            }
        }
    }

    /// Whether they were told as much of the ringing that began at `begun`.
    fn knows(&self, begun: Option<Timestamp>, told: Level) -> bool {
        self.told.is_some_and(|(at, before)| at >= begun.unwrap_or(Timestamp::MIN) && before >= told)
    }
}

impl Holds<'_> {
    fn notice(&self) -> Notice {
        let sub_type = match self.told {
            Level::Rings => SubType::IncomingCall,
            Level::Answered => SubType::AnsweredCall,
            Level::Over => SubType::EndedCall,
        };
        Notice { at: self.at, sub_type, by: self.by.cloned(), hunt_group: self.hunt_group }
    }
}

impl News {
    fn tell(&mut self, name: &str, notice: Notice) {
        self.notices.entry(notice).or_default().push(name.to_owned());
    }
}
