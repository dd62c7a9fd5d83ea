//! Everything, of every server, interleaved: what it leaves is a report, the figures behind it and a drawing.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;

use super::results::Results;
use super::subject::Kind;
use super::swarm::{Client, Steady};
use super::work::{Churn, Connect, Events, Idle, Job, Manner, Missed, Punctual, steady};
use super::{install, plot, report};

#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// Which servers are measured; those that this machine lacks are installed below the folder that cargo builds into.
    #[arg(long, value_delimiter = ',', default_value = "limit,bellwire,bellwire-pipelined,nchan,nats,nats-verbose,node")]
    server: Vec<Kind>,
    /// Only these workloads, such as `unicast,idle`.
    #[arg(long, value_delimiter = ',')]
    workload: Vec<String>,
    /// How many rounds; medians are shown. Default: 3, or 1 of the short form.
    #[arg(long)]
    rounds: Option<usize>,
    /// How many of them have `steady`, `idle` and `churn` as well, which mostly wait and take most of the time.
    #[arg(long, default_value = "1")]
    long_rounds: NonZeroUsize,
    /// Smaller sizes and shorter times, in a few minutes: to see a change, not to quote.
    #[arg(long)]
    short: bool,
    /// The folder of the report.
    #[arg(long, default_value = "loadtest/results")]
    out: PathBuf,
}

pub(super) async fn run(args: &CompareArgs) -> Result<ExitCode> {
    // Before the first figure, so that none is lost to a program that is not to be had.
    for kind in &args.server {
        install::needed(*kind).with_context(|| format!("{} is not to be had; --server leaves it out", kind.name()))?;
    }
    let (mut jobs, rounds) = if args.short { (short(), 1) } else { (full(), 3) };
    jobs.retain(|job| args.workload.is_empty() || args.workload.iter().any(|workload| workload == job.workload()));
    let results = Results::gather(&jobs, &args.server, args.rounds.unwrap_or(rounds), args.long_rounds.get()).await?;
    results.print();
    write(&results, &args.out)?;
    println!("{} has the report, its figures and a drawing.", args.out.display());
    Ok(results.exit_code())
}

fn write(results: &Results, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    results.write_json(&folder.join("results.json"))?;
    std::fs::write(folder.join("README.md"), report::markdown(results))?;
    std::fs::write(folder.join("results.svg"), plot::svg(results))?;
    Ok(())
}

/// Deliveries to 10,000 sessions: 13 to 15 to each, with those before that are not counted. The kernel acknowledges the first 16
/// segments of a connection at once, in the sender's time, and again as many where none came for 200 ms. With more of them a server
/// that goes round in less is spared what one that takes a little longer pays with each send.
const FEW: u64 = 70_000;

/// What is quoted.
fn full() -> Vec<Job> {
    let mut jobs = Vec::new();
    jobs.extend([100, 1_000, 10_000].map(|sessions| events(1, sessions, 60_000)));
    jobs.extend([6_000, 200_000].map(|deliveries| events(1, 1_000, deliveries)));
    jobs.extend(
        [(10, 1_000, 100_000), (10, 10_000, FEW), (30, 10_000, FEW), (100, 1_000, 100_000), (100, 10_000, FEW)]
            .map(|(group, sessions, deliveries)| events(group, sessions, deliveries)),
    );
    jobs.extend([(500, 10), (1_000, 10), (2_000, 60)].map(|(rate, seconds)| punctual(10_000, steady(rate, seconds, 0))));
    jobs.push(punctual(10_000, steady(2_000, 60, 8_000)));
    jobs.extend([1_000, 3_000, 10_000].map(|sessions| Job::Connect(Connect { sessions })));
    jobs.extend([(1_000, 10), (3_000, 10), (10_000, 60)].map(|(sessions, seconds)| Job::Idle(Idle { sessions, seconds })));
    jobs.extend([1, 16, 64].map(|connections| missed(20_000 * u64::from(connections).min(5), connections)));
    jobs.push(Job::Churn(Churn { sessions: 10_000, times: 10 }));
    jobs
}

/// The same on a small scale.
fn short() -> Vec<Job> {
    let mut jobs = vec![events(1, 1_000, 15_000)];
    jobs.extend([10, 100].map(|group| events(group, 1_000, 30_000)));
    jobs.extend([0, 2_000].map(|more| punctual(2_000, steady(1_000, 5, more))));
    jobs.push(Job::Connect(Connect { sessions: 3_000 }));
    jobs.push(Job::Idle(Idle { sessions: 3_000, seconds: 5 }));
    jobs.push(missed(20_000, 64));
    jobs.push(Job::Churn(Churn { sessions: 3_000, times: 3 }));
    jobs
}

fn events(group: usize, sessions: usize, deliveries: u64) -> Job {
    Job::Events(Events { sessions, deliveries, group, outstanding: 64, manner: Manner::Listening, client: Client::Awake })
}

/// As desktops are: they acknowledge what they hear.
fn punctual(sessions: usize, steady: Steady) -> Job {
    Job::Steady(Punctual { sessions, steady, manner: Manner::Acknowledging })
}

fn missed(posts: u64, connections: u32) -> Job {
    Job::Missed(Missed { posts, connections: usize::try_from(connections).unwrap_or(usize::MAX), data: None })
}
