//! `connect`: a storm of hand-shakes. `idle`: sessions to which nothing happens. `churn`: what is left of those that went.

use std::fmt;
use std::time::Duration;

use anyhow::Result;

use super::{Figure, Meter, SETTLING, count, figure, micros};
use crate::bench::subject::{Kind, Server};
use crate::bench::swarm::Swarm;
use crate::figures::float;

#[derive(Debug, Clone)]
pub(in crate::bench) struct Connect {
    pub(in crate::bench) sessions: usize,
}

#[derive(Debug, Clone)]
pub(in crate::bench) struct Idle {
    pub(in crate::bench) sessions: usize,
    pub(in crate::bench) seconds: u64,
}

#[derive(Debug, Clone)]
pub(in crate::bench) struct Churn {
    pub(in crate::bench) sessions: usize,
    /// How often all come and go.
    pub(in crate::bench) times: usize,
}

impl Connect {
    pub(super) async fn measure(&self, kind: Kind) -> Result<Vec<Figure>> {
        let mut server = kind.start().await?;
        // Memory that a server touches for the first time costs it more than a token that it does not know.
        self.storm(&mut server, 0)?;
        let (seen, seen_took) = self.storm(&mut server, 0)?;
        server.speech.renew();
        let (new, new_took) = self.storm(&mut server, 0)?;
        let (stranger, _) = self.storm(&mut server, self.sessions)?;
        server.stop().await?;
        Ok(vec![
            figure("a hand-shake, new token", "µs", new),
            figure("a hand-shake, token seen before", "µs", seen),
            figure("a hand-shake, new token of who was not there before", "µs", stranger),
            figure("till all are open, new tokens", "ms", new_took.as_secs_f64() * 1e3),
            figure("till all are open, tokens seen before", "ms", seen_took.as_secs_f64() * 1e3),
        ])
    }

    /// All come, and go; the time that each costs. `first` is the number of the first.
    fn storm(&self, server: &mut Server, first: usize) -> Result<(f64, Duration)> {
        let mut swarm = Swarm::beginning_at(first)?;
        let meter = Meter::start(server)?;
        let took = swarm.open(server, self.sessions)?;
        swarm.rest(SETTLING)?;
        let each = micros(meter.spent(server)?) / count(self.sessions)?;
        drop(swarm);
        std::thread::sleep(SETTLING);
        Ok((each, took))
    }
}

impl Idle {
    pub(super) async fn measure(&self, kind: Kind) -> Result<Vec<Figure>> {
        let mut server = kind.start().await?;
        let (mut swarm, before) = (Swarm::new(1)?, float(server.memory()?));
        swarm.open(&mut server, self.sessions)?;
        swarm.rest(SETTLING)?;
        let memory = float(server.memory()?) - before;
        let meter = Meter::start(&server)?;
        swarm.rest(Duration::from_secs(self.seconds))?;
        let share = meter.spent(&server)?.as_secs_f64() / meter.took().as_secs_f64();
        let later = float(server.memory()?) - before;
        drop(swarm);
        server.stop().await?;
        let sessions = count(self.sessions)?;
        Ok(vec![
            figure("memory a session", "KiB", memory / sessions),
            figure("memory a session, at the end", "KiB", later / sessions),
            figure("processor time", "% of a core", share * 100.0),
        ])
    }
}

impl Churn {
    pub(super) async fn measure(&self, kind: Kind) -> Result<Vec<Figure>> {
        let mut server = kind.start().await?;
        let mut swarm = Swarm::new(1)?;
        swarm.open(&mut server, self.sessions)?;
        swarm.rest(SETTLING)?;
        let before = float(server.memory()?);
        for _ in 0..self.times {
            drop(swarm);
            std::thread::sleep(SETTLING);
            swarm = Swarm::new(1)?;
            swarm.open(&mut server, self.sessions)?;
        }
        swarm.rest(SETTLING)?;
        let after = float(server.memory()?);
        drop(swarm);
        server.stop().await?;
        Ok(vec![
            figure("memory with all open, before", "MiB", before / 1024.0),
            figure("memory with all open, after", "MiB", after / 1024.0),
            figure("after ÷ before", "×", after / before),
        ])
    }
}

impl fmt::Display for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} sessions", self.sessions)
    }
}

impl fmt::Display for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} sessions for {} s", self.sessions, self.seconds)
    }
}

impl fmt::Display for Churn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} sessions come and go {} times", self.sessions, self.times)
    }
}
