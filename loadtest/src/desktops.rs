//! A process of desktops that are cut off at random: a close, an abort, a pause in which nothing is read, a long sleep. Where each
//! stands is told on standard output, so that a killed process can be followed by another that goes on.

use std::collections::HashMap;
use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use client::desktop::{Desktop, News, fixed};
use futures::future::join_all;
use jiff::Timestamp;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines, Stdin, stdin};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};

use crate::line::{DesktopLine, Resume, State, What, call_of};
use crate::people::{People, Signer};

/// The line that ends the list of cursors.
pub(crate) const GO: &str = "go";
/// The line after which nobody is cut off any more.
pub(crate) const CALM: &str = "calm";

#[derive(Debug, Args)]
pub(crate) struct DesktopsArgs {
    /// Where the broker is.
    #[arg(long)]
    pub(crate) node: String,
    /// The secret of its development tokens.
    #[arg(long)]
    pub(crate) secret: String,
    /// How many desktops there are in all.
    #[arg(long)]
    pub(crate) desktops: usize,
    /// The first of this process.
    #[arg(long)]
    pub(crate) first: usize,
    /// How many are of this process.
    #[arg(long)]
    pub(crate) count: usize,
    /// How long a desktop is left in peace on average, in seconds.
    #[arg(long)]
    pub(crate) cut_every: f64,
}

/// How a desktop is cut off, and for how long.
#[derive(Debug, Clone, Copy)]
enum Cut {
    /// It reads nothing.
    Stall(Duration),
    /// It leaves.
    Leave(Leaving),
}

#[derive(Debug, Clone, Copy)]
enum Leaving {
    /// It logs out.
    Close(Duration),
    /// Its line breaks without a word.
    Abort(Duration),
}

/// Runs until standard input ends.
pub(crate) async fn run(args: DesktopsArgs) -> Result<()> {
    let (people, signer) = (People::new(args.desktops), Signer::new(&args.secret));
    let mut lines = BufReader::new(stdin()).lines();
    let mut cursors = read_cursors(&mut lines).await?;
    let (calm, is_calm) = watch::channel(false);
    let mut seats = Vec::new();
    for number in args.first..args.first + args.count {
        let (negotiator, device) = people.at(number);
        let token = signer.person(&negotiator.customer(), &negotiator.to_string())?;
        let (node, calm, cut_every) = (args.node.clone(), is_calm.clone(), args.cut_every);
        seats.push(Seat { number, node, device, token, cursor: cursors.remove(&number), calm, cut_every }.sit());
    }
    tokio::select! {
        _ = join_all(seats) => Ok(()),
        ended = listen(lines, calm) => ended,
    }
}

async fn read_cursors(lines: &mut Lines<BufReader<Stdin>>) -> Result<HashMap<usize, String>> {
    let mut cursors = HashMap::new();
    while let Some(line) = lines.next_line().await?
        && line != GO
    {
        let (number, cursor) = line.split_once(' ').context("a line of two words")?;
        cursors.insert(number.parse()?, cursor.to_owned());
    }
    Ok(cursors)
}

async fn listen(mut lines: Lines<BufReader<Stdin>>, calm: watch::Sender<bool>) -> Result<()> {
    while let Some(line) = lines.next_line().await? {
        calm.send_replace(line == CALM);
    }
    Ok(())
}

/// A desktop's place, which stays while the desktop itself comes and goes.
struct Seat {
    number: usize,
    node: String,
    device: &'static str,
    token: String,
    cursor: Option<String>,
    calm: watch::Receiver<bool>,
    cut_every: f64,
}

impl Seat {
    async fn sit(mut self) {
        loop {
            let (leaving, desktop) = self.work().await;
            self.cursor = desktop.cursor().map(str::to_owned);
            match leaving {
                Leaving::Close(away) => {
                    desktop.close().await;
                    self.tell(What::Away { code: 1000 });
                    self.pause(away).await;
                }
                Leaving::Abort(away) => {
                    drop(desktop);
                    self.tell(What::Away { code: 1006 });
                    self.pause(away).await;
                }
            }
        }
    }

    /// Is logged in until it is cut off.
    async fn work(&mut self) -> (Leaving, Desktop) {
        let token = self.token.clone();
        let device = Some(self.device.to_owned());
        let mut desktop = Desktop::new(self.node.clone(), device, fixed(token)).resuming(self.cursor.take());
        let mut repeats = 0;
        loop {
            let cut_at = Instant::now() + Duration::from_secs_f64(exponential(self.cut_every));
            // Cancel safety: what `Desktop::next` has begun to read is kept.
            while let Ok(news) = timeout_at(cut_at, desktop.next()).await {
                let is_over = matches!(news, News::Stopped(_));
                self.report(news, &desktop, &mut repeats);
                if is_over {
                    return (Leaving::Abort(between(1.0, 5.0)), desktop);
                }
            }
            match cut() {
                _ if *self.calm.borrow() => {}
                Cut::Stall(pause) => {
                    self.tell(What::Stalls { millis: i64::try_from(pause.as_millis()).unwrap_or(i64::MAX) });
                    self.pause(pause).await;
                }
                Cut::Leave(leaving) => return (leaving, desktop),
            }
        }
    }

    /// Sleeps, but not once all is to be calm.
    async fn pause(&mut self, pause: Duration) {
        tokio::select! {
            () = sleep(pause) => {}
            _ = self.calm.wait_for(|calm| *calm) => {}
        }
    }

    fn report(&self, news: News, desktop: &Desktop, repeats: &mut u64) {
        let before = std::mem::replace(repeats, desktop.repeats());
        if *repeats > before {
            self.tell(What::Repeats { count: *repeats - before });
        }
        let cursor = desktop.cursor().unwrap_or_default().to_owned();
        match news {
            News::Welcome(welcome) => self.tell(What::Opened { resume: resume(&welcome), cursor, calls: calls(&welcome) }),
            News::Event(event) => {
                if let (Some(call), Some(state)) = (call(&event), state(&event)) {
                    self.tell(What::Event { call, state, cursor });
                }
            }
            News::Expired(event) => {
                if let Some(call) = call(&event) {
                    self.tell(What::TooLate { call, cursor });
                }
            }
            News::Sync(_) => {}
            News::Away(code) => self.tell(What::Away { code }),
            News::Stopped(code) => self.tell(What::Stopped { code }),
        }
    }

    fn tell(&self, what: What) {
        let line = DesktopLine { desktop: self.number, at: Timestamp::now().as_millisecond(), what };
        // The soak is gone if this fails, and standard input ends with it.
        drop(writeln!(std::io::stdout(), "{line}"));
    }
}

fn resume(welcome: &Value) -> Resume {
    welcome.get("resume").and_then(Value::as_str).and_then(Resume::of).unwrap_or(Resume::None)
}

fn calls(welcome: &Value) -> Vec<u64> {
    welcome.get("calls").and_then(Value::as_array).into_iter().flatten().filter_map(call).collect()
}

fn call(event: &Value) -> Option<u64> {
    event.get("callId").and_then(Value::as_str).and_then(call_of)
}

fn state(event: &Value) -> Option<State> {
    event.pointer("/notification/subType").and_then(Value::as_str).and_then(State::of)
}

fn cut() -> Cut {
    match rand::random_range(0..20) {
        0..8 => Cut::Leave(Leaving::Close(between(0.0, 5.0))),
        8..15 => Cut::Leave(Leaving::Abort(between(0.0, 5.0))),
        15..19 => Cut::Stall(between(5.0, 20.0)),
        _ => Cut::Leave(Leaving::Close(between(10.0, 90.0))),
    }
}

fn between(least: f64, most: f64) -> Duration {
    Duration::from_secs_f64(rand::random_range(least..most))
}

fn exponential(mean: f64) -> f64 {
    -mean * (1.0 - rand::random::<f64>()).ln()
}
