//! `unicast` and `fanout`: what an event costs. `steady`: how late it is.

use std::fmt;
use std::time::Duration;

use anyhow::Result;

use super::{Figure, Meter, SETTLING, figure, micros};
use crate::bench::subject::{Kind, Protocol, Server};
use crate::bench::swarm::{Client, Flood, RINGING, Steady, Swarm};
use crate::figures::float;

/// How sessions take events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::bench) enum Manner {
    Listening,
    /// Where the server's contract knows it.
    Acknowledging,
}

#[derive(Debug, Clone)]
pub(in crate::bench) struct Events {
    pub(in crate::bench) sessions: usize,
    /// Deliveries, over all sessions.
    pub(in crate::bench) deliveries: u64,
    /// Sessions that each event is for.
    pub(in crate::bench) group: usize,
    pub(in crate::bench) outstanding: usize,
    pub(in crate::bench) manner: Manner,
    pub(in crate::bench) client: Client,
}

#[derive(Debug, Clone)]
pub(in crate::bench) struct Punctual {
    pub(in crate::bench) sessions: usize,
    pub(in crate::bench) steady: Steady,
    pub(in crate::bench) manner: Manner,
}

impl Manner {
    fn impose(self, server: &mut Server) {
        if self == Self::Acknowledging && server.protocol == Protocol::Messages {
            server.protocol = Protocol::Acknowledged;
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Listening => "",
            Self::Acknowledging => ", acknowledged",
        }
    }
}

impl Events {
    pub(super) async fn measure(&self, kind: Kind) -> Result<Vec<Figure>> {
        let mut server = kind.start().await?;
        self.manner.impose(&mut server);
        let mut swarm = Swarm::new(self.group)?;
        swarm.open(&mut server, self.sessions)?;
        swarm.rest(SETTLING)?;
        let group = u64::try_from(self.group)?;
        let events = (kind.share(self.deliveries) / group).max(1);
        let flood = Flood { events, outstanding: self.outstanding, client: self.client };
        // As many before as are measured, so that what is only done once, such as touching memory for the first time, is not counted; and
        // so many that calls are over as well as ring.
        swarm.flood(&mut server, Flood { events: flood.events.max(2 * RINGING), ..flood })?;
        let meter = Meter::start(&server)?;
        swarm.flood(&mut server, flood)?;
        let (spent, took) = (meter.spent(&server)?, meter.took());
        drop(swarm);
        server.stop().await?;
        let (events, deliveries) = (float(flood.events), float(flood.events * group));
        Ok(vec![
            figure("processor time a delivery", "µs", micros(spent) / deliveries),
            figure("processor time an event", "µs", micros(spent) / events),
            figure("deliveries a second", "", deliveries / took.as_secs_f64()),
        ])
    }
}

impl Punctual {
    pub(super) async fn measure(&self, kind: Kind) -> Result<Vec<Figure>> {
        let mut server = kind.start().await?;
        self.manner.impose(&mut server);
        let mut swarm = Swarm::new(1)?;
        swarm.open(&mut server, self.sessions)?;
        let events = kind.share(u64::from(self.steady.rate));
        let warm_up = Flood { events, outstanding: self.steady.connections, client: Client::Asleep };
        swarm.flood(&mut server, warm_up)?;
        swarm.rest(SETTLING)?;
        let meter = Meter::start(&server)?;
        let punctuality = swarm.steady(&mut server, self.steady)?;
        let (spent, took) = (meter.spent(&server)?, meter.took());
        drop(swarm);
        server.stop().await?;
        let events = float(u64::from(self.steady.rate) * self.steady.duration.as_secs());
        Ok(vec![
            figure("p50", "µs", punctuality.heard_at(0.5)),
            figure("p99", "µs", punctuality.heard_at(0.99)),
            figure("p99.9", "µs", punctuality.heard_at(0.999)),
            figure("posted late, p50", "µs", float(punctuality.posted.value_at_quantile(0.5))),
            figure("posted late, p99", "µs", float(punctuality.posted.value_at_quantile(0.99))),
            figure("processor time an event", "µs", micros(spent) / events),
            figure("events a second", "", events / took.as_secs_f64()),
        ])
    }
}

impl fmt::Display for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.group > 1 {
            write!(f, "groups of {}, ", self.group)?;
        }
        write!(
            f,
            "{} sessions, {} deliveries, {} at once{}",
            self.sessions,
            self.deliveries,
            self.outstanding,
            self.manner.words()
        )?;
        match self.client {
            Client::Awake => f.write_str(", client awake"),
            Client::Asleep => Ok(()),
        }
    }
}

impl fmt::Display for Punctual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Steady { rate, duration, more, .. } = self.steady;
        write!(f, "{} sessions, {rate} events/s for {} s{}", self.sessions, duration.as_secs(), self.manner.words())?;
        if more > 0 { write!(f, ", {more} more connect meanwhile") } else { Ok(()) }
    }
}

/// Everything that a steady measurement has but its size.
pub(in crate::bench) fn steady(rate: u32, seconds: u64, more: usize) -> Steady {
    Steady { rate, duration: Duration::from_secs(seconds), connections: CALLERS, more }
}

/// Callers of the steady measurement.
const CALLERS: usize = 256;
