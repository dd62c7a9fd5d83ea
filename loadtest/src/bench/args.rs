//! The command line of the measurements. Sizes are lists: each size is measured.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};

use super::compare::{self, CompareArgs};
use super::results::Results;
use super::subject::{Kind, Reader};
use super::swarm::Client;
use super::work::{Churn, Connect, Events, Idle, Job, Manner, Missed, Punctual, steady};
use crate::broker::raise_descriptor_limit;

#[derive(Debug, Subcommand)]
pub(crate) enum Measurement {
    /// What an event to one session costs, in processor time of the server.
    Unicast(UnicastArgs),
    /// What a delivery costs, of events that each are for a group of sessions.
    Fanout(FanoutArgs),
    /// How late events are at a fixed rate, from when they were due.
    Steady(SteadyArgs),
    /// What a hand-shake costs in a storm of sessions: with tokens that were seen before, with new ones, and of who was not there before.
    Connect(ConnectArgs),
    /// What sessions cost to which nothing happens: memory, and processor time with pings.
    Idle(IdleArgs),
    /// How many missed calls a second are on disk, and how many would be without the sync.
    Missed(MissedArgs),
    /// What memory is left after all sessions have come and gone many times.
    Churn(ChurnArgs),
    /// All of these, of bellwire, the limit and other servers; writes a report, its figures and a drawing.
    Compare(CompareArgs),
}

/// What all have in common.
#[derive(Debug, Args)]
struct Common {
    /// Which servers are measured; those that this machine lacks are installed below the folder that cargo builds into.
    #[arg(long, value_delimiter = ',', default_value = "limit,bellwire")]
    server: Vec<Kind>,
    #[command(flatten)]
    rounds: Rounds,
}

#[derive(Debug, Args)]
struct Rounds {
    /// How many rounds; medians are shown.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Writes the figures of all rounds to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct UnicastArgs {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    flood: FloodArgs,
    /// With `hyper`, bellwire is measured with its HTTP library's reader as well, in a column of its own.
    #[arg(long, default_value = "own")]
    reader: Reader,
}

#[derive(Debug, Args)]
pub(crate) struct FanoutArgs {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    flood: FloodArgs,
    /// How many sessions each event is for.
    #[arg(long, value_delimiter = ',', default_value = "10,100")]
    group: Vec<usize>,
}

#[derive(Debug, Args)]
struct FloodArgs {
    /// How many sessions are open.
    #[arg(long, value_delimiter = ',', default_value = "1000")]
    sessions: Vec<usize>,
    /// How many deliveries are measured.
    #[arg(long, value_delimiter = ',', default_value = "100000")]
    deliveries: Vec<u64>,
    /// Events on their way at once.
    #[arg(long, value_delimiter = ',', default_value = "64")]
    outstanding: Vec<usize>,
    /// Sessions acknowledge what they hear, as desktops do, where the server's contract knows it.
    #[arg(long)]
    acks: bool,
    /// How the client waits.
    #[arg(long, default_value = "awake")]
    client: Client,
}

#[derive(Debug, Args)]
pub(crate) struct SteadyArgs {
    #[command(flatten)]
    common: Common,
    /// How many sessions are open.
    #[arg(long, value_delimiter = ',', default_value = "10000")]
    sessions: Vec<usize>,
    /// How many events are due a second.
    #[arg(long, value_delimiter = ',', default_value = "2000")]
    rate: Vec<u32>,
    /// For how long.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// How many more sessions connect meanwhile, evenly over that time.
    #[arg(long, value_delimiter = ',', default_value = "0")]
    more: Vec<usize>,
    /// Sessions acknowledge what they hear, as desktops do, where the server's contract knows it.
    #[arg(long)]
    acks: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ConnectArgs {
    #[command(flatten)]
    common: Common,
    /// How many sessions come.
    #[arg(long, value_delimiter = ',', default_value = "10000")]
    sessions: Vec<usize>,
}

#[derive(Debug, Args)]
pub(crate) struct IdleArgs {
    #[command(flatten)]
    common: Common,
    /// How many sessions are open.
    #[arg(long, value_delimiter = ',', default_value = "10000")]
    sessions: Vec<usize>,
    /// For how long nothing happens; in 60 s every session is pinged.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}

#[derive(Debug, Args)]
pub(crate) struct MissedArgs {
    /// How many missed calls are posted.
    #[arg(long, value_delimiter = ',', default_value = "100000")]
    posts: Vec<u64>,
    /// Over how many connections at once.
    #[arg(long, value_delimiter = ',', default_value = "64")]
    connections: Vec<usize>,
    /// A folder on the disk that is measured; default: the one of this program.
    #[arg(long)]
    data: Option<PathBuf>,
    #[command(flatten)]
    rounds: Rounds,
}

#[derive(Debug, Args)]
pub(crate) struct ChurnArgs {
    #[command(flatten)]
    common: Common,
    /// How many sessions come and go.
    #[arg(long, value_delimiter = ',', default_value = "10000")]
    sessions: Vec<usize>,
    /// How often.
    #[arg(long, default_value_t = 10)]
    times: usize,
}

pub(crate) async fn run(measurement: Measurement) -> Result<ExitCode> {
    raise_descriptor_limit();
    let (jobs, common) = match measurement {
        Measurement::Compare(args) => return compare::run(&args).await,
        Measurement::Unicast(UnicastArgs { mut common, flood, reader }) => {
            common.server.extend((reader == Reader::Hyper).then_some(Kind::BellwireLibrary));
            (flood.jobs(&[1]), common)
        }
        Measurement::Fanout(FanoutArgs { common, flood, group }) => (flood.jobs(&group), common),
        Measurement::Steady(args) => (args.jobs(), args.common),
        Measurement::Connect(ConnectArgs { common, sessions }) => {
            (sessions.into_iter().map(|sessions| Job::Connect(Connect { sessions })).collect(), common)
        }
        Measurement::Idle(IdleArgs { common, sessions, seconds }) => {
            (sessions.into_iter().map(|sessions| Job::Idle(Idle { sessions, seconds })).collect(), common)
        }
        Measurement::Missed(args) => {
            let jobs = args.jobs();
            (jobs, Common { server: vec![Kind::Bellwire], rounds: args.rounds })
        }
        Measurement::Churn(ChurnArgs { common, sessions, times }) => {
            (sessions.into_iter().map(|sessions| Job::Churn(Churn { sessions, times })).collect(), common)
        }
    };
    let Rounds { rounds, json } = common.rounds;
    let results = Results::gather(&jobs, &common.server, rounds, rounds).await?;
    results.print();
    if let Some(path) = &json {
        results.write_json(path)?;
    }
    Ok(results.exit_code())
}

impl FloodArgs {
    fn jobs(&self, groups: &[usize]) -> Vec<Job> {
        let (manner, client) = (manner(self.acks), self.client);
        let mut jobs = Vec::new();
        for &group in groups {
            for &sessions in &self.sessions {
                for &deliveries in &self.deliveries {
                    let events = |&outstanding| Job::Events(Events { sessions, deliveries, group, outstanding, manner, client });
                    jobs.extend(self.outstanding.iter().map(events));
                }
            }
        }
        jobs
    }
}

impl SteadyArgs {
    fn jobs(&self) -> Vec<Job> {
        let manner = manner(self.acks);
        let mut jobs = Vec::new();
        for &sessions in &self.sessions {
            for &rate in &self.rate {
                let more = |&more| Job::Steady(Punctual { sessions, steady: steady(rate, self.seconds, more), manner });
                jobs.extend(self.more.iter().map(more));
            }
        }
        jobs
    }
}

impl MissedArgs {
    fn jobs(&self) -> Vec<Job> {
        let sizes = self.posts.iter().flat_map(|posts| self.connections.iter().map(move |connections| (*posts, *connections)));
        sizes.map(|(posts, connections)| Job::Missed(Missed { posts, connections, data: self.data.clone() })).collect()
    }
}

fn manner(acks: bool) -> Manner {
    if acks { Manner::Acknowledging } else { Manner::Listening }
}
