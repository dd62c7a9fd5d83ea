//! `missed`: posts of missed calls, which are on disk when they are answered; beside them the same in a folder that is in memory,
//! where a sync costs nothing, and how long a sync takes.

use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};

use super::{Figure, Meter, figure, micros};
use crate::bench::subject::{Reader, bellwire};
use crate::bench::swarm::{Posts, Swarm};
use crate::figures::{float, median};

/// A file system in memory.
const MEMORY: &str = "/dev/shm";
const NEGOTIATORS: usize = 1_000;
/// How many syncs are timed.
const SYNCS: usize = 200;
/// What is written before each of them: about what a commit of some calls writes.
const SYNCED_BYTES: usize = 8 * 1024;

#[derive(Debug, Clone)]
pub(in crate::bench) struct Missed {
    pub(in crate::bench) posts: u64,
    pub(in crate::bench) connections: usize,
    /// A folder on the disk; without one, that of this program.
    pub(in crate::bench) data: Option<PathBuf>,
}

impl Missed {
    pub(super) async fn measure(&self) -> Result<Vec<Figure>> {
        let program = std::env::current_exe()?;
        let disk = self.data.as_deref().or(program.parent()).context("this program stands in no folder")?;
        let sync = sync_time(disk)?;
        let (durable, cost) = self.rate(disk).await?;
        let (in_memory, cost_in_memory) = self.rate(Path::new(MEMORY)).await?;
        Ok(vec![
            figure("posts a second", "", durable),
            figure("posts a second, sync left out", "", in_memory),
            figure("with sync ÷ without", "×", durable / in_memory),
            figure("processor time a post", "µs", cost),
            figure("processor time a post, sync left out", "µs", cost_in_memory),
            figure("a sync of the disk", "µs", sync),
        ])
    }

    /// Posts a second, and the processor time of each.
    async fn rate(&self, data: &Path) -> Result<(f64, f64)> {
        let mut server = bellwire::start(Some(data), Reader::Own).await?;
        let mut swarm = Swarm::new(1)?;
        let posts = Posts { posts: self.posts, connections: self.connections, negotiators: NEGOTIATORS };
        swarm.post_all_missed(&mut server, Posts { posts: self.posts / 10 + 1, ..posts })?;
        let meter = Meter::start(&server)?;
        swarm.post_all_missed(&mut server, posts)?;
        let (spent, took) = (meter.spent(&server)?, meter.took());
        drop(swarm);
        server.stop().await?;
        Ok((float(self.posts) / took.as_secs_f64(), micros(spent) / float(self.posts)))
    }
}

/// How long it takes until some bytes are on disk, in microseconds.
fn sync_time(folder: &Path) -> Result<f64> {
    let mut file = tempfile::tempfile_in(folder)?;
    let mut times = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        file.write_all(&[7; SYNCED_BYTES])?;
        let began = Instant::now();
        file.sync_data()?;
        times.push(micros(began.elapsed()));
    }
    Ok(median(times))
}

impl fmt::Display for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} posts over {} connections", self.posts, self.connections)
    }
}
