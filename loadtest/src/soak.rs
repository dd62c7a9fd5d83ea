//! The soak: thousands of desktops in several processes, cut off at random; a provider that goes on; a broker that is restarted
//! gracefully twice and killed once. At the end every event is accounted for.

use std::collections::BTreeMap;
use std::ops::Range;
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use clap::Args;
use client::api::Api;
use http_body_util::Full;
use hyper::Request;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::{Instant, interval, sleep, timeout};

use crate::broker::{Broker, raise_descriptor_limit};
use crate::desktops::{CALM, GO};
use crate::ledger::{Account, Ledger};
use crate::line::{DesktopLine, call_of, parse};
use crate::people::{Negotiator, People, Signer};
use crate::provider::{Posted, Provider};

/// The broker's development secret in a soak.
const SECRET: &str = "bellwire-soak-secret";
/// How often a process of desktops is killed.
const KILL_EVERY: Duration = Duration::from_secs(15);
/// How long all desktops have to come back and to read what they missed: the longest back-off and as much again.
const SETTLE: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
pub(crate) struct SoakArgs {
    /// How many desktops there are.
    #[arg(long, default_value_t = 5_000)]
    sessions: usize,
    /// How many events are posted a second.
    #[arg(long, default_value_t = 200.0)]
    rate: f64,
    /// For how many seconds.
    #[arg(long, default_value_t = 300)]
    seconds: u64,
    /// How long a desktop is left in peace on average, in seconds.
    #[arg(long, default_value_t = 60.0)]
    cut_every: f64,
    /// How many processes the desktops are spread over.
    #[arg(long, default_value_t = 5)]
    processes: usize,
    /// Prints the account as JSON.
    #[arg(long)]
    json: bool,
}

/// What happens to the broker, at which part of the time.
const FATES: [(f64, Signal); 3] = [(0.25, Signal::TERM), (0.5, Signal::KILL), (0.75, Signal::TERM)];

pub(crate) async fn run(args: SoakArgs) -> Result<ExitCode> {
    raise_descriptor_limit();
    let length = Duration::from_secs(args.seconds);
    let people = People::new(args.sessions);
    let signer = Signer::new(SECRET);
    let broker = Broker::start(SECRET, &[]).await?;
    let token = signer.application()?;
    let (lines, heard) = mpsc::channel(10_000);
    let crews = crews(people, args.processes).into_iter().map(|range| Crew { range, process: None, lines: lines.clone() });
    let mut soak = Soak {
        node: broker.api.clone(),
        broker,
        people,
        ledger: Ledger::new(people),
        crews: crews.collect(),
        heard,
        args,
        bar: ProgressBar::new(length.as_secs()),
        counts: BTreeMap::new(),
    };
    soak.bar.set_style(ProgressStyle::with_template("{bar:30} {pos}/{len} s  {msg}")?);
    soak.start_desktops().await?;
    soak.work(length, token.clone()).await?;
    soak.settle().await?;
    soak.poll(&token).await?;
    soak.count().await?;
    soak.broker.end(Signal::TERM).await?;
    soak.bar.finish_and_clear();
    let json = soak.args.json;
    let account = soak.ledger.account();
    print(&account, json, &soak.counts)?;
    Ok(if account.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Soak {
    args: SoakArgs,
    people: People,
    node: String,
    broker: Broker,
    ledger: Ledger,
    crews: Vec<Crew>,
    heard: mpsc::Receiver<DesktopLine>,
    bar: ProgressBar,
    /// What the broker counted, all its runs together.
    counts: BTreeMap<String, u64>,
}

/// Which of the broker's counts are shown.
const COUNTS: [&str; 4] =
    ["bellwire_sessions_resumed", "bellwire_sessions_closed", "bellwire_deliveries_late", "bellwire_deliveries_expired"];

/// A process of desktops.
struct Crew {
    range: Range<usize>,
    process: Option<Child>,
    lines: mpsc::Sender<DesktopLine>,
}

fn crews(people: People, processes: usize) -> Vec<Range<usize>> {
    let each = people.desktops().div_ceil(processes.max(1)).max(1);
    (0..people.desktops()).step_by(each).map(|first| first..(first + each).min(people.desktops())).collect()
}

impl Soak {
    async fn start_desktops(&mut self) -> Result<()> {
        for crew in &mut self.crews {
            crew.start(&self.args, &self.node, &self.ledger).await?;
        }
        // As many welcomes as desktops, by and large: the soak itself needs no more.
        self.bar.set_message("desktops log in");
        self.listen_for(Duration::from_secs(10)).await;
        Ok(())
    }

    /// Posts, cuts and kills for as long as the soak lasts.
    async fn work(&mut self, length: Duration, token: String) -> Result<()> {
        let (ledger, mut posted) = mpsc::channel(1_000);
        let provider = Provider::new(&self.node, token, self.people).run(self.args.rate, length, ledger);
        let provider = tokio::spawn(provider);
        let started = Instant::now();
        let mut fates = FATES.into_iter().peekable();
        let (mut seconds, mut kills, mut victim) = (interval(Duration::from_secs(1)), interval(KILL_EVERY), 0);
        kills.tick().await;
        loop {
            tokio::select! {
                event = posted.recv() => match event {
                    Some(event) => self.ledger.posted(&event),
                    None => break,
                },
                Some(line) = self.heard.recv() => self.ledger.heard(line),
                _ = seconds.tick() => self.bar.set_position(started.elapsed().as_secs()),
                _ = kills.tick(), if started.elapsed() < length => {
                    victim += 1;
                    self.replace_crew(victim).await?;
                }
            }
            if let Some((_, signal)) = fates.next_if(|(part, _)| started.elapsed() >= length.mul_f64(*part)) {
                self.restart(signal, &mut posted).await?;
            }
        }
        provider.await?
    }

    /// Kills a process of desktops and starts another where it stood.
    async fn replace_crew(&mut self, victim: usize) -> Result<()> {
        let place = victim % self.crews.len();
        let Some(crew) = self.crews.get_mut(place) else { return Ok(()) };
        crew.kill().await?;
        let at = Timestamp::now().as_millisecond();
        // What it told before its end is still in the pipe.
        self.listen_for(Duration::from_millis(300)).await;
        let Some(crew) = self.crews.get_mut(place) else { return Ok(()) };
        crew.range.clone().for_each(|desktop| self.ledger.left(desktop, at));
        crew.start(&self.args, &self.node, &self.ledger).await
    }

    /// Ends the broker and starts it again; meanwhile all goes on.
    async fn restart(&mut self, signal: Signal, posted: &mut mpsc::Receiver<Posted>) -> Result<()> {
        let what = if signal == Signal::KILL { "is killed" } else { "restarts" };
        self.bar.set_message(format!("the broker {what}"));
        self.count().await?;
        if signal == Signal::KILL {
            self.ledger.killed(Timestamp::now().as_millisecond());
        }
        let Self { broker, heard, ledger, .. } = self;
        let mut again = Box::pin(async {
            broker.end(signal).await?;
            broker.start_again().await
        });
        loop {
            tokio::select! {
                done = &mut again => return done,
                Some(event) = posted.recv() => ledger.posted(&event),
                Some(line) = heard.recv() => ledger.heard(line),
            }
        }
    }

    /// Adds what this run of the broker has counted.
    async fn count(&mut self) -> Result<()> {
        let metrics = self.broker.metrics().await?;
        for line in metrics.lines().filter(|line| COUNTS.iter().any(|name| line.starts_with(name))) {
            if let Some((name, value)) = line.rsplit_once(' ') {
                *self.counts.entry(name.to_owned()).or_default() += value.parse::<u64>()?;
            }
        }
        Ok(())
    }

    /// Nobody is cut off any more; all come back and read what they missed.
    async fn settle(&mut self) -> Result<()> {
        self.bar.set_message("all come back");
        for crew in &mut self.crews {
            crew.tell(CALM).await?;
        }
        self.listen_for(SETTLE).await;
        Ok(())
    }

    async fn listen_for(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while let Ok(Some(line)) = tokio::time::timeout_at(end, self.heard.recv()).await {
            self.ledger.heard(line);
        }
    }

    /// Reads every list of missed calls.
    async fn poll(&mut self, token: &str) -> Result<()> {
        self.bar.set_message("missed calls are fetched");
        let mut api = Api::new(&self.node);
        for (negotiator, expected) in self.ledger.missed_calls() {
            let found = fetch(&mut api, token, negotiator).await?;
            self.ledger.found_missed(&expected, &found);
        }
        Ok(())
    }
}

async fn fetch(api: &mut Api, token: &str, negotiator: Negotiator) -> Result<Vec<u64>> {
    let mut path = format!("/notifications?negotiatorId={negotiator}&pageSize=100");
    let mut found = Vec::new();
    loop {
        let request = Request::get(&path).header("authorization", format!("Bearer {token}"));
        let answer = api.send(request.header("reapit-customer", negotiator.customer()).body(Full::<Bytes>::default())?).await?;
        if answer.status.as_u16() == 429 {
            sleep(Duration::from_secs(1)).await;
            continue;
        }
        let page: Value = serde_json::from_slice(&answer.body).with_context(|| format!("{path}: {}", answer.status))?;
        let items = page.get("_embedded").and_then(Value::as_array).with_context(|| format!("{path}: {page}"))?;
        found.extend(items.iter().filter_map(|item| call_of(item.pointer("/payload/id")?.as_str()?)));
        match page.pointer("/_links/next/href").and_then(Value::as_str) {
            Some(next) => path = next.to_owned(),
            None => return Ok(found),
        }
    }
}

impl Crew {
    async fn start(&mut self, args: &SoakArgs, node: &str, ledger: &Ledger) -> Result<()> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["desktops", "--node", node, "--secret", SECRET, "--desktops", &args.sessions.to_string()]);
        command.args(["--first", &self.range.start.to_string(), "--count", &self.range.len().to_string()]);
        command.args(["--cut-every", &args.cut_every.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn()?;
        let stdout = process.stdout.take().context("a pipe")?;
        let lines = self.lines.clone();
        tokio::spawn(async move {
            let mut told = BufReader::new(stdout).lines();
            while let Ok(Some(line)) = told.next_line().await {
                if let Some(line) = parse(&line)
                    && lines.send(line).await.is_err()
                {
                    return;
                }
            }
        });
        self.process = Some(process);
        let cursors = self.range.clone().filter_map(|desktop| Some(format!("{desktop} {}\n", ledger.cursor(desktop)?)));
        self.tell(&format!("{}{GO}", cursors.collect::<String>())).await
    }

    async fn tell(&mut self, text: &str) -> Result<()> {
        let stdin = self.process.as_mut().and_then(|process| process.stdin.as_mut()).context("a pipe")?;
        Ok(stdin.write_all(format!("{text}\n").as_bytes()).await?)
    }

    async fn kill(&mut self) -> Result<()> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        Ok(timeout(Duration::from_secs(10), process.kill()).await??)
    }
}

fn print(account: &Account, json: bool, counts: &BTreeMap<String, u64>) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(&json!({"account": account, "broker": counts}))?);
        return Ok(());
    }
    for (name, value) in serde_json::to_value(account)?.as_object().into_iter().flatten() {
        println!("{:<20} {value}", name.replace('_', " "));
    }
    println!("\nas the broker counted:");
    for (name, value) in counts {
        println!("  {name} {value}");
    }
    println!("\n{}", if account.is_clean() { "Nothing was lost." } else { "NOT CLEAN" });
    Ok(())
}
