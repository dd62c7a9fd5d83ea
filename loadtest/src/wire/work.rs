//! What is measured, of each server in turn, in several rounds.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;

use super::subject::{Kind, Subject};
use super::swarm::{Flood, Swarm};
use crate::broker::raise_descriptor_limit;
use crate::figures::{float, median};

#[derive(Debug, Args)]
pub(crate) struct WireArgs {
    /// How many sessions are open.
    #[arg(long, default_value_t = 1_000)]
    sessions: usize,
    /// How many events a measurement posts.
    #[arg(long, default_value_t = 100_000)]
    events: u64,
    /// For how many sessions an event is in the measurements of fan-out.
    #[arg(long, value_delimiter = ',', default_value = "10,100")]
    fan_out: Vec<usize>,
    /// Events on their way at once.
    #[arg(long, default_value_t = 64)]
    outstanding: usize,
    /// Sessions acknowledge what they hear, as desktops do.
    #[arg(long)]
    acks: bool,
    /// For how many seconds nothing happens in the measurement of idle sessions; 0 leaves it out.
    #[arg(long, default_value_t = 0)]
    idle: u64,
    /// How often all sessions come and go in the measurement of churn; 0 leaves it out.
    #[arg(long, default_value_t = 0)]
    churn: usize,
    /// How many rounds; medians are shown.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

/// How long it takes until a server has seen who came and went.
const SETTLING: Duration = Duration::from_secs(1);

/// What is measured, with its unit; in the order in which it is shown.
type Row = Vec<(String, f64)>;

pub(crate) async fn run(args: WireArgs) -> Result<ExitCode> {
    raise_descriptor_limit();
    let kinds = [Kind::Limit, Kind::Bellwire];
    let mut measured: Vec<Vec<Row>> = kinds.iter().map(|_| Vec::new()).collect();
    for _ in 0..args.rounds {
        for (kind, rows) in kinds.iter().zip(&mut measured) {
            rows.push(measure(*kind, &args).await?);
        }
    }
    print(&kinds, &measured);
    Ok(ExitCode::SUCCESS)
}

async fn measure(kind: Kind, args: &WireArgs) -> Result<Row> {
    let mut subject = Subject::start(kind).await?;
    let (mut swarm, mut row) = (Swarm::new()?, Row::new());
    let (before, memory) = (subject.processor_time()?, subject.memory()?);
    swarm.open(&mut subject, args.sessions)?;
    let sessions = float(u64::try_from(args.sessions)?);
    row.push(("a hand-shake, µs".to_owned(), micros(subject.processor_time()? - before) / sessions));
    swarm.rest(SETTLING)?;
    row.push(("a session, KiB".to_owned(), (float(subject.memory()?) - float(memory)) / sessions));
    if args.idle > 0 {
        let (before, time) = (subject.processor_time()?, Duration::from_secs(args.idle));
        swarm.rest(time)?;
        let share = (subject.processor_time()? - before).as_secs_f64() / time.as_secs_f64();
        row.push(("idle, % of a core".to_owned(), share * 100.0));
    }
    if args.churn > 0 {
        let before = subject.memory()?;
        for _ in 0..args.churn {
            drop(swarm);
            std::thread::sleep(SETTLING);
            swarm = Swarm::new()?;
            swarm.open(&mut subject, args.sessions)?;
        }
        swarm.rest(SETTLING)?;
        let ratio = float(subject.memory()?) / float(before);
        row.push((format!("memory after {} × churn, × before", args.churn), ratio));
    }
    for targets in std::iter::once(1).chain(args.fan_out.iter().copied()) {
        let events = (args.events / u64::try_from(targets)?).max(1);
        let flood = Flood { events, outstanding: args.outstanding, targets, acks: args.acks };
        // So that what is only done once is not counted.
        swarm.flood(&subject, Flood { events: events / 10 + 1, ..flood })?;
        let (before, began) = (subject.processor_time()?, Instant::now());
        swarm.flood(&subject, flood)?;
        let (spent, took) = (subject.processor_time()? - before, began.elapsed());
        let deliveries = float(events * u64::try_from(targets)?);
        let what = if targets == 1 { "an event, one session".to_owned() } else { format!("a delivery, fan-out {targets}") };
        row.push((format!("{what}, µs"), micros(spent) / deliveries));
        row.push((format!("{what}, a second"), deliveries / took.as_secs_f64()));
    }
    subject.stop().await?;
    Ok(row)
}

fn print(kinds: &[Kind], measured: &[Vec<Row>]) {
    let names: Vec<_> =
        measured.first().and_then(|rows| rows.first()).into_iter().flatten().map(|(name, _)| name.clone()).collect();
    let head: String = kinds.iter().map(|kind| format!("{:>12}", kind.name())).collect();
    println!("{:<34}{head}{:>10}", "", "ratio");
    for (place, name) in names.iter().enumerate() {
        let medians: Vec<f64> =
            measured.iter().map(|rows| median(rows.iter().filter_map(|row| row.get(place).map(|(_, value)| *value)))).collect();
        let shown: String = medians.iter().map(|median| format!("{median:>12.2}")).collect();
        let ratio = medians.get(1).zip(medians.first()).map_or(f64::NAN, |(own, limit)| own / limit);
        println!("{name:<34}{shown}{ratio:>10.2}");
    }
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
