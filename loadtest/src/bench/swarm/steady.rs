//! Events at fixed times, whether or not those before were heard: a server that stalls makes all that falls due meanwhile late.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use hdrhistogram::Histogram;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::read;
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime};

use super::tally::{Schedule, histogram};
use super::{Newcomer, Swarm, TIMER};
use crate::bench::subject::Server;
use crate::figures::float;

#[derive(Debug, Clone, Copy)]
pub(in crate::bench) struct Steady {
    pub(in crate::bench) rate: u32,
    pub(in crate::bench) duration: Duration,
    /// Callers; an event for which none is free waits, and is late.
    pub(in crate::bench) connections: usize,
    /// Sessions that connect meanwhile, evenly.
    pub(in crate::bench) more: usize,
}

/// How late events were, in microseconds.
pub(in crate::bench) struct Punctuality {
    /// From when an event was due to when it was heard.
    pub(in crate::bench) heard: Histogram<u64>,
    /// From when an event was due to when it was written.
    pub(in crate::bench) posted: Histogram<u64>,
}

impl Swarm {
    pub(in crate::bench) fn steady(&mut self, server: &mut Server, steady: Steady) -> Result<Punctuality> {
        self.call(server, steady.connections)?;
        let newcomers = self.newcomers(server, steady.more)?;
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            // A thread of its own, so that events are not late because the client connects.
            let storm = scope.spawn(|| storm(newcomers, steady.duration, &over));
            let timed = self.timed(server, steady);
            over.store(true, Ordering::Relaxed);
            let connected = storm.join().map_err(|_panic| anyhow!("the thread that connects has panicked"))?;
            connected.and(timed)
        })
    }

    fn timed(&mut self, server: &Server, steady: Steady) -> Result<Punctuality> {
        let events = u64::from(steady.rate) * steady.duration.as_secs();
        let interval = Duration::from_secs(1) / steady.rate;
        let timer = Timer::new(self)?;
        let mut next = self.tally.expect(events, self.sessions)?;
        let (end, mut posted, mut prepared) = (next + events, histogram()?, None);
        let schedule = Schedule { start: Instant::now(), interval, first: next };
        // At once, so that it strikes when an event is due.
        timer.every(interval)?;
        self.tally.follow(schedule)?;
        while self.tally.done() < end {
            // While nothing is on its way, so that no event is late since the client writes.
            if next < end && self.tally.done() == next && prepared.is_none() {
                prepared = Some(self.request(server, next)?);
            }
            self.turn()?;
            timer.acknowledge();
            while next < end && schedule.due(next) <= schedule.start.elapsed() && self.may_post(next) {
                let request = prepared.take().map_or_else(|| self.request(server, next), Ok)?;
                self.say(server, &request)?;
                posted.saturating_record(u64::try_from(schedule.late(next, Instant::now()).as_micros())?);
                next += 1;
            }
            if next == end {
                timer.stop()?;
            }
        }
        Ok(Punctuality { heard: self.tally.delays().clone(), posted })
    }
}

/// Opens sessions evenly over this time, and holds them until it is over.
fn storm(newcomers: Vec<Newcomer>, time: Duration, over: &AtomicBool) -> Result<()> {
    let mut swarm = Swarm::new(1)?;
    let between = time / u32::try_from(newcomers.len())?.max(1);
    let start = Instant::now();
    for (newcomer, number) in newcomers.into_iter().zip(1_u32..) {
        swarm.rest((between * number).saturating_sub(start.elapsed()))?;
        swarm.let_in(newcomer)?;
    }
    while swarm.open < swarm.sessions {
        swarm.turn()?;
    }
    while !over.load(Ordering::Relaxed) {
        swarm.rest(Duration::from_millis(100))?;
    }
    Ok(())
}

impl Punctuality {
    /// A quantile of what was heard, in microseconds.
    pub(in crate::bench) fn heard_at(&self, quantile: f64) -> f64 {
        float(self.heard.value_at_quantile(quantile))
    }
}

/// A timer among the lines: exact to some microseconds, where a wait with a time-out is not.
struct Timer(OwnedFd);

impl Timer {
    fn new(swarm: &Swarm) -> Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        epoll::add(&swarm.epoll, &timer, EventData::new_u64(TIMER), EventFlags::IN)?;
        Ok(Self(timer))
    }

    fn every(&self, interval: Duration) -> Result<()> {
        let time = Timespec { tv_sec: i64::try_from(interval.as_secs())?, tv_nsec: i64::from(interval.subsec_nanos()) };
        timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &Itimerspec { it_interval: time, it_value: time })?;
        Ok(())
    }

    fn stop(&self) -> Result<()> {
        self.every(Duration::ZERO)
    }

    /// So that it is not ready any more; it may not have been.
    fn acknowledge(&self) {
        read(&self.0, &mut [0; 8]).ok();
    }
}
