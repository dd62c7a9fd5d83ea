//! Events as fast as they are heard, and posts as fast as they are answered.

use anyhow::{Result, ensure};
use clap::ValueEnum;

use super::{RINGING, Swarm};
use crate::bench::subject::Server;

/// Events that are posted one after another, so many at once.
#[derive(Debug, Clone, Copy)]
pub(in crate::bench) struct Flood {
    pub(in crate::bench) events: u64,
    pub(in crate::bench) outstanding: usize,
    pub(in crate::bench) client: Client,
}

/// How the client waits. What wakes it is a send of the server's, which takes twice as long then: a server that is a little slower than the
/// client wakes it again and again, one that is a little faster never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::bench) enum Client {
    /// It looks again and again, so that no server pays for waking it.
    Awake,
    /// It sleeps until something has come.
    Asleep,
}

/// Posts that nobody hears, over so many connections.
#[derive(Debug, Clone, Copy)]
pub(in crate::bench) struct Posts {
    pub(in crate::bench) posts: u64,
    pub(in crate::bench) connections: usize,
    /// Among so many negotiators.
    pub(in crate::bench) negotiators: usize,
}

impl Swarm {
    /// Posts events, each to the next group, until all have heard theirs.
    pub(in crate::bench) fn flood(&mut self, server: &mut Server, flood: Flood) -> Result<()> {
        let outstanding = u64::try_from(flood.outstanding)?;
        ensure!(outstanding < RINGING, "fewer than {RINGING} events can be on their way at once");
        // One that says nothing would be given up.
        self.call(server, if server.pipelines { 1 } else { flood.outstanding })?;
        let mut next = self.tally.expect(flood.events, self.sessions)?;
        let end = next + flood.events;
        self.client = flood.client;
        while self.tally.done() < end {
            while next < end && next - self.tally.done() < outstanding && self.post(server, next)? {
                next += 1;
            }
            self.turn()?;
        }
        self.client = Client::Asleep;
        Ok(())
    }

    /// Posts missed calls, each connection the next as soon as its last was answered.
    pub(in crate::bench) fn post_all_missed(&mut self, server: &mut Server, posts: Posts) -> Result<()> {
        self.call(server, posts.connections)?;
        let mut next = self.tally.expect(posts.posts, posts.negotiators)?;
        let (end, answered) = (next + posts.posts, self.answers + posts.posts);
        while self.answers < answered {
            while next < end && self.post_missed(server, next)? {
                next += 1;
            }
            self.turn()?;
        }
        Ok(())
    }
}
