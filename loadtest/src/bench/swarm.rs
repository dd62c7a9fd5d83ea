//! All sessions and all callers in one thread, level-triggered; who connects while events are timed has one of its own.

mod connection; // a connection: opened, heard, answered
mod tally; // which session has yet to hear what
mod flood; // events as fast as they are heard
mod steady; // events at fixed times

pub(super) use self::flood::{Client, Flood, Posts};
pub(super) use self::steady::Steady;
pub(super) use self::tally::RINGING;

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;

use self::connection::{Heard, Role, SwarmConnection};
use self::tally::{Tally, call_of};
use super::subject::{Dial, Event, Server};
use crate::line::State;

const SCRATCH_BYTES: usize = 64 * 1024;
const EVENTS_MAX: usize = 1024;
/// Hand-shakes at once.
const OPENING_MAX: usize = 100;
/// How long nothing may happen at all.
const SILENCE_MAX: Duration = Duration::from_secs(20);
/// The timer among the lines.
const TIMER: u64 = u64::MAX;

pub(super) struct Swarm {
    epoll: OwnedFd,
    /// Sessions and callers, in the order of their connections.
    lines: Vec<SwarmConnection>,
    /// How many sessions were asked for, and how many of them are open.
    sessions: usize,
    open: usize,
    /// How many sessions get the same events.
    group: usize,
    /// Callers without a request.
    idle: VecDeque<usize>,
    callers: usize,
    tally: Tally,
    answers: u64,
    scratch: Vec<u8>,
    client: Client,
}

/// A session that is yet to connect.
struct Newcomer {
    session: usize,
    dial: Dial,
    request: Vec<u8>,
    greeting: Vec<u8>,
}

impl Swarm {
    pub(super) fn new(group: usize) -> Result<Self> {
        Ok(Self {
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            lines: Vec::new(),
            sessions: 0,
            open: 0,
            group,
            idle: VecDeque::new(),
            callers: 0,
            tally: Tally::new(group)?,
            answers: 0,
            scratch: vec![0; SCRATCH_BYTES],
            client: Client::Asleep,
        })
    }

    /// One whose first session has this number.
    pub(super) fn beginning_at(first: usize) -> Result<Self> {
        Ok(Self { sessions: first, open: first, ..Self::new(1)? })
    }

    /// Opens so many sessions. Returns how long it took.
    pub(super) fn open(&mut self, server: &mut Server, sessions: usize) -> Result<Duration> {
        let newcomers = self.newcomers(server, sessions)?;
        let began = Instant::now();
        for newcomer in newcomers {
            self.let_in(newcomer)?;
            while self.sessions - self.open >= OPENING_MAX {
                self.turn()?;
            }
        }
        while self.open < self.sessions {
            self.turn()?;
        }
        Ok(began.elapsed())
    }

    /// Lets time pass; pings are answered.
    pub(super) fn rest(&mut self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            self.wait(left)?;
        }
        Ok(())
    }

    /// Made before they are needed: signing tokens takes time.
    fn newcomers(&self, server: &mut Server, sessions: usize) -> Result<Vec<Newcomer>> {
        let mut newcomer = |session| {
            let request = server.speech.hand_shake(session, self.group)?;
            Ok(Newcomer { session, dial: server.dial(), request, greeting: server.speech.greeting(session, self.group) })
        };
        (self.sessions..self.sessions + sessions).map(&mut newcomer).collect()
    }

    fn let_in(&mut self, newcomer: Newcomer) -> Result<()> {
        let Newcomer { session, dial, request, greeting } = newcomer;
        self.sessions += 1;
        self.add(SwarmConnection::session(session, dial, request, greeting)?)
    }

    fn add(&mut self, line: SwarmConnection) -> Result<()> {
        let id = u64::try_from(self.lines.len())?;
        epoll::add(&self.epoll, line.stream(), EventData::new_u64(id), EventFlags::OUT)?;
        self.lines.push(line);
        Ok(())
    }

    /// Has at least so many callers.
    fn call(&mut self, server: &mut Server, callers: usize) -> Result<()> {
        while self.callers < callers {
            let line = SwarmConnection::caller(server.dial_for_caller())?;
            self.add(line)?;
            self.callers += 1;
        }
        while self.idle.len() < callers {
            self.turn()?;
        }
        Ok(())
    }

    /// Posts a live event, if a caller is free.
    fn post(&mut self, server: &Server, number: u64) -> Result<bool> {
        let may = self.may_post(number);
        if may {
            let request = self.request(server, number)?;
            self.say(server, &request)?;
        }
        Ok(may)
    }

    fn may_post(&mut self, number: u64) -> bool {
        !self.idle.is_empty() && self.tally.admits(number)
    }

    /// What is to be said to post a live event.
    fn request(&self, server: &Server, number: u64) -> Result<Vec<u8>> {
        let (call, state) = call_of(number);
        self.request_of(server, number, call, state)
    }

    /// Posts a missed call, if a caller is free.
    fn post_missed(&mut self, server: &Server, number: u64) -> Result<bool> {
        let may = !self.idle.is_empty();
        if may {
            let request = self.request_of(server, number, number, State::Missed)?;
            self.say(server, &request)?;
        }
        Ok(may)
    }

    fn request_of(&self, server: &Server, number: u64, call: u64, state: State) -> Result<Vec<u8>> {
        let event = Event { number, call, state, first: self.tally.first_of(call)?, count: self.group };
        Ok(server.speech.post(&event))
    }

    fn say(&mut self, server: &Server, request: &[u8]) -> Result<()> {
        let caller = self.idle.pop_front().context("a caller that is free")?;
        self.lines.get_mut(caller).context("a caller")?.say(request)?;
        if server.pipelines {
            self.idle.push_front(caller);
        }
        Ok(())
    }

    fn turn(&mut self) -> Result<()> {
        let happened = self.wait(SILENCE_MAX)?;
        ensure!(
            happened,
            "nothing has come for {} s: {} of {} sessions open, {} events not heard by all",
            SILENCE_MAX.as_secs(),
            self.open,
            self.sessions,
            self.tally.missing()
        );
        Ok(())
    }

    /// Takes what has come. Returns whether anything has.
    fn wait(&mut self, time: Duration) -> Result<bool> {
        let mut events = Vec::with_capacity(EVENTS_MAX);
        let at_once = match self.client {
            Client::Awake => Duration::ZERO,
            Client::Asleep => time,
        };
        let timeout = Timespec { tv_sec: i64::try_from(at_once.as_secs())?, tv_nsec: i64::from(at_once.subsec_nanos()) };
        let began = Instant::now();
        loop {
            match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&timeout)) {
                Ok(_) => {}
                // Whoever was stopped goes on.
                Err(Errno::INTR) => return Ok(true),
                Err(error) => return Err(error.into()),
            }
            if !events.is_empty() || self.client == Client::Asleep || began.elapsed() >= time {
                break;
            }
        }
        for event in &events {
            match event.data.u64() {
                // Whoever set the timer looks at the clock.
                TIMER => {}
                id => self.hear(usize::try_from(id)?)?,
            }
        }
        Ok(!events.is_empty())
    }

    /// What has come on a line.
    fn hear(&mut self, place: usize) -> Result<()> {
        let Self { lines, scratch, tally, open, idle, answers, .. } = self;
        let line = lines.get_mut(place).context("a line")?;
        if line.is_connecting() {
            line.connected()?;
            epoll::modify(&self.epoll, line.stream(), EventData::new_u64(u64::try_from(place)?), EventFlags::IN)?;
            if line.may_post() {
                idle.push_back(place);
            }
            return Ok(());
        }
        let role = line.role();
        let bytes = line.read(scratch)?;
        // What the client makes of it, and answers, is not the server's delay.
        let at = Instant::now();
        line.hear(&bytes, &mut |heard| {
            match (heard, role) {
                (Heard::Opened, _) => *open += 1,
                (Heard::Answered, _) => {
                    *answers += 1;
                    // Who does not wait for answers is free all the time.
                    if idle.front() != Some(&place) {
                        idle.push_back(place);
                    }
                }
                (Heard::Event(body), Role::Session(session)) => tally.heard(body, session, at)?,
                (Heard::Event(_), Role::Caller) => {}
            }
            Ok(())
        })
    }
}
