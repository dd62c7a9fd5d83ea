//! What is measured: a job is one measurement of one size, of a server that is started for it.

mod events; // an event, a delivery
mod sessions; // hand-shakes, idle sessions, what is left of those that went
mod missed; // posts that are kept on disk

pub(super) use self::events::{Events, Manner, Punctual, steady};
pub(super) use self::missed::Missed;
pub(super) use self::sessions::{Churn, Connect, Idle};

use std::time::Duration;

use anyhow::Result;

use super::subject::{Kind, Server};
use crate::figures::float;

/// How long it takes until a server has seen who came and went.
const SETTLING: Duration = Duration::from_secs(1);

/// A figure of a server.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Figure {
    pub(super) name: &'static str,
    pub(super) unit: &'static str,
    pub(super) value: f64,
}

#[derive(Debug, Clone)]
pub(super) enum Job {
    Events(Events),
    Steady(Punctual),
    Connect(Connect),
    Idle(Idle),
    Missed(Missed),
    Churn(Churn),
}

impl Job {
    pub(super) fn workload(&self) -> &'static str {
        match self {
            Self::Events(events) if events.group == 1 => "unicast",
            Self::Events(_) => "fanout",
            Self::Steady(_) => "steady",
            Self::Connect(_) => "connect",
            Self::Idle(_) => "idle",
            Self::Missed(_) => "missed",
            Self::Churn(_) => "churn",
        }
    }

    /// Whether most of its time is waiting: the rounds of the others are short beside it.
    pub(super) fn mostly_waits(&self) -> bool {
        match self {
            Self::Steady(_) | Self::Idle(_) | Self::Churn(_) => true,
            Self::Events(_) | Self::Connect(_) | Self::Missed(_) => false,
        }
    }

    /// The size, in words.
    pub(super) fn setting(&self) -> String {
        match self {
            Self::Events(events) => events.to_string(),
            Self::Steady(steady) => steady.to_string(),
            Self::Connect(connect) => connect.to_string(),
            Self::Idle(idle) => idle.to_string(),
            Self::Missed(missed) => missed.to_string(),
            Self::Churn(churn) => churn.to_string(),
        }
    }

    /// Whether a server has what is measured: only bellwire keeps missed calls, and whether callers are answered, or wait for it, matters
    /// to what events cost.
    pub(super) fn concerns(&self, kind: Kind) -> bool {
        match self {
            Self::Events(_) => true,
            Self::Steady(_) | Self::Connect(_) | Self::Idle(_) | Self::Churn(_) => {
                !matches!(kind, Kind::NatsVerbose | Kind::BellwirePipelined | Kind::BellwireLibrary)
            }
            Self::Missed(_) => kind == Kind::Bellwire,
        }
    }

    pub(super) async fn measure(&self, kind: Kind) -> Result<Vec<Figure>> {
        match self {
            Self::Events(events) => events.measure(kind).await,
            Self::Steady(steady) => steady.measure(kind).await,
            Self::Connect(connect) => connect.measure(kind).await,
            Self::Idle(idle) => idle.measure(kind).await,
            Self::Missed(missed) => missed.measure().await,
            Self::Churn(churn) => churn.measure(kind).await,
        }
    }
}

fn figure(name: &'static str, unit: &'static str, value: f64) -> Figure {
    Figure { name, unit, value }
}

/// In microseconds.
fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// What a server uses from one moment to another.
struct Meter {
    processor: Duration,
    began: std::time::Instant,
}

impl Meter {
    fn start(server: &Server) -> Result<Self> {
        Ok(Self { processor: server.processor_time()?, began: std::time::Instant::now() })
    }

    /// Processor time since the start.
    fn spent(&self, server: &Server) -> Result<Duration> {
        Ok(server.processor_time()?.saturating_sub(self.processor))
    }

    fn took(&self) -> Duration {
        self.began.elapsed()
    }
}

fn count(number: usize) -> Result<f64> {
    Ok(float(u64::try_from(number)?))
}
