//! A hundred readers that read nothing among eight thousand sessions: whether the others, or the caller, notice. Every event goes to
//! one session that reads and to nine of the hundred; rounds in which the hundred read alternate with rounds in which they do not.

use std::cell::RefCell;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use clap::Args;
use client::api::Api;
use client::session::{Heard, Session};
use hdrhistogram::Histogram;
use http_body_util::Full;
use hyper::Request;
use indicatif::ProgressBar;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinSet, LocalSet, spawn_local};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::broker::{Broker, raise_descriptor_limit};
use crate::figures::float;
use crate::people::Signer;

const SECRET: &str = "bellwire-stalled-secret";
const CUSTOMER: &str = "SBOX";
/// How many of those who stall an event goes to, beside one who reads.
const STALLED_TARGETS: usize = 9;
/// The receive buffer of those who stall: what they have not read waits at the broker, not here.
const RECEIVE_BUFFER: u32 = 4 * 1024;
/// After how long one that stalls is replaced by another.
const STALL: Duration = Duration::from_secs(10);
/// After how long one that was refused tries again.
const AGAIN: Duration = Duration::from_millis(100);
const CONNECTIONS: usize = 16;

#[derive(Debug, Args)]
pub(crate) struct StalledArgs {
    /// How many sessions there are.
    #[arg(long, default_value_t = 8_000)]
    sessions: usize,
    /// How many of them stall.
    #[arg(long, default_value_t = 100)]
    stalled: usize,
    /// How many events are posted a second.
    #[arg(long, default_value_t = 300)]
    rate: u32,
    /// How long a round is, in seconds.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// How many rounds of each kind there are.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

/// What is measured in the rounds of one kind.
struct Measured {
    /// In microseconds from the time at which the event was to be posted.
    heard: Histogram<u64>,
    answered: Histogram<u64>,
    posted: u64,
    received: u64,
    processor: Duration,
    /// How many sessions the broker closed as slow, and how many as dead.
    slow: u64,
    dead: u64,
}

impl Measured {
    fn new() -> Result<Self> {
        let histogram = || Histogram::new_with_bounds(1, 60_000_000, 3);
        let (heard, answered) = (histogram()?, histogram()?);
        Ok(Self { heard, answered, posted: 0, received: 0, processor: Duration::ZERO, slow: 0, dead: 0 })
    }
}

type Shared = Rc<RefCell<Measured>>;

/// What all tasks share.
struct Stage {
    args: StalledArgs,
    broker: Broker,
    signer: Signer,
    epoch: Instant,
    now: Rc<RefCell<Shared>>,
    reads: watch::Sender<bool>,
}

pub(crate) async fn run(args: StalledArgs) -> Result<ExitCode> {
    raise_descriptor_limit();
    ensure!(args.stalled >= STALLED_TARGETS, "--stalled must be at least {STALLED_TARGETS}");
    ensure!(args.sessions > args.stalled, "--sessions must be more than --stalled");
    let unlimited = ["REQUESTS", "POLLS", "SESSIONS", "NEW_TOKENS"].map(|name| format!("BELLWIRE_LIMITS__{name}_PER_SECOND"));
    let unlimited: Vec<_> = unlimited.iter().map(|name| (name.as_str(), "0")).collect();
    let broker = Broker::start(SECRET, &unlimited).await?;
    let both = [Rc::new(RefCell::new(Measured::new()?)), Rc::new(RefCell::new(Measured::new()?))];
    let [reading, stalling] = &both;
    let now = Rc::new(RefCell::new(reading.clone()));
    let mut stage =
        Stage { args, broker, signer: Signer::new(SECRET), epoch: Instant::now(), now, reads: watch::Sender::new(true) };
    LocalSet::new().run_until(stage.perform(reading, stalling)).await?;
    stage.broker.end(Signal::TERM).await?;
    let (reading, stalling) = (reading.borrow(), stalling.borrow());
    print(&reading, &stalling);
    ensure!([&reading, &stalling].iter().all(|measured| measured.posted == measured.received), "some events were not heard");
    ensure!(stalling.slow > 0 && reading.slow == 0, "those who stall were to be closed as slow, and nobody else");
    ensure!(reading.dead == 0, "some who read were taken for dead");
    Ok(ExitCode::SUCCESS)
}

impl Stage {
    async fn perform(&mut self, reading: &Shared, stalling: &Shared) -> Result<()> {
        let bar = ProgressBar::new(u64::try_from(self.args.rounds * 2)?);
        self.log_in().await?;
        for round in 0..self.args.rounds * 2 {
            let stalls = round % 2 == 1;
            let measured = if stalls { stalling } else { reading };
            self.reads.send_replace(!stalls);
            // What is under way, and those who come back, belong to neither kind.
            sleep(Duration::from_secs(3)).await;
            self.now.replace(measured.clone());
            let (processor, slow, dead) = (self.broker.processor_time()?, self.closed(4202).await?, self.closed(4201).await?);
            self.post().await?;
            sleep(Duration::from_millis(500)).await;
            let (processor, slow, dead) =
                (self.broker.processor_time()? - processor, self.closed(4202).await? - slow, self.closed(4201).await? - dead);
            let mut measured = measured.borrow_mut();
            measured.processor += processor;
            measured.slow += slow;
            measured.dead += dead;
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// The first are those who stall at times; all others read.
    async fn log_in(&self) -> Result<()> {
        let node = self.broker.api.clone();
        for number in 0..self.args.sessions {
            let token = self.signer.person(CUSTOMER, &name(number))?;
            if number < self.args.stalled {
                spawn_local(stall(node.clone(), token, self.reads.subscribe()));
            } else {
                let session = Session::open(&node, &token, "").await?;
                spawn_local(read(session, self.now.clone(), self.epoch));
            }
        }
        Ok(())
    }

    /// Posts at a fixed rate, whatever becomes of the posts before.
    async fn post(&self) -> Result<()> {
        let doors: Vec<_> = (0..CONNECTIONS).map(|_| Rc::new(tokio::sync::Mutex::new(Api::new(&self.broker.api)))).collect();
        let token = self.signer.application()?;
        let mut ticks = interval(Duration::from_secs(1) / self.args.rate);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut posts = JoinSet::new();
        for number in 0..usize::try_from(u64::from(self.args.rate) * self.args.seconds)? {
            let intended = ticks.tick().await;
            let request = self.request(&token, number, intended)?;
            let (door, now) = (doors.get(number % CONNECTIONS).context("a door")?.clone(), self.now.clone());
            posts.spawn_local(async move {
                let answer = door.lock().await.send(request).await?;
                ensure!(answer.status.as_u16() == 202, "refused with {}: {:?}", answer.status, answer.body);
                let shared = now.borrow().clone();
                let mut measured = shared.borrow_mut();
                measured.posted += 1;
                measured.answered.saturating_record(micros(intended));
                Ok(())
            });
        }
        while let Some(posted) = posts.join_next().await {
            posted??;
        }
        Ok(())
    }

    /// A group rings: some who may stall, and one who reads.
    fn request(&self, token: &str, number: usize, intended: Instant) -> Result<Request<Full<Bytes>>> {
        let StalledArgs { stalled, sessions, .. } = self.args;
        let may_stall = (0..STALLED_TARGETS).map(|place| (number * STALLED_TARGETS + place) % stalled);
        let targets: Vec<_> = may_stall.chain([rand::random_range(stalled..sessions)]).map(name).collect();
        let id = intended.duration_since(self.epoch).as_micros().to_string();
        let body = json!({
            "type": "telephony", "subType": "incomingCall", "products": ["AgencyCloud"], "targets": {"negotiatorId": targets},
            "payload": {"id": id, "created": "2023-11-01T10:28:00", "callerId": "07123 456789", "destinationId": "01234 567890"},
        });
        let request = Request::post("/notifications").header("authorization", format!("Bearer {token}"));
        let request = request.header("reapit-customer", CUSTOMER).header("content-type", "application/json");
        Ok(request.body(Full::from(body.to_string()))?)
    }

    /// How many sessions the broker has closed with this code.
    async fn closed(&self, code: u16) -> Result<u64> {
        let metrics = self.broker.metrics().await?;
        let name = format!("bellwire_sessions_closed_total{{code=\"{code}\"}} ");
        let closed = metrics.lines().find_map(|line| line.strip_prefix(&name));
        Ok(closed.map(str::parse).transpose()?.unwrap_or_default())
    }
}

fn name(number: usize) -> String {
    format!("N{number}")
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// One who reads: each event says when it was to be posted.
async fn read(mut session: Session, now: Rc<RefCell<Shared>>, epoch: Instant) {
    while let Heard::Message(message) = session.next().await {
        let Some((id, intended)) = event(&message) else { continue };
        record(&now.borrow(), epoch + intended);
        // A line that broke is found by the read.
        drop(session.send(&json!({"type": "ack", "id": id})).await);
    }
}

/// The id of an event, and when it was to be posted.
fn event(message: &Value) -> Option<(&str, Duration)> {
    let text = |name| message.get(name).and_then(Value::as_str);
    text("type").filter(|name| *name == "event")?;
    Some((text("id")?, Duration::from_micros(text("callId")?.parse().ok()?)))
}

fn record(now: &Shared, intended: Instant) {
    let mut measured = now.borrow_mut();
    measured.received += 1;
    measured.heard.saturating_record(micros(intended));
}

/// One who stalls at times, and is then replaced by another; at other times one who reads.
async fn stall(node: String, token: String, mut reads: watch::Receiver<bool>) {
    loop {
        if *reads.borrow_and_update() {
            tokio::select! {
                () = read_for(&node, &token) => {}
                _ = reads.changed() => {}
            }
        } else {
            let stalls = async {
                let _unread = open_slowly(&node, &token).await;
                sleep(STALL).await;
            };
            tokio::select! {
                () = stalls => {}
                _ = reads.changed() => {}
            }
        }
    }
}

async fn read_for(node: &str, token: &str) {
    let Ok(mut session) = Session::open(node, token, "").await else { return sleep(AGAIN).await };
    while let Heard::Message(message) = session.next().await {
        if let Some((id, _)) = event(&message) {
            drop(session.send(&json!({"type": "ack", "id": id})).await);
        }
    }
}

async fn open_slowly(node: &str, token: &str) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    let mut stream = timeout(STALL, socket.connect(node.parse()?)).await??;
    let request = format!(
        "GET /session HTTP/1.1\r\nhost: {node}\r\nauthorization: Bearer {token}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut head = [0; 12];
    stream.read_exact(&mut head).await?;
    ensure!(&head == b"HTTP/1.1 101", "the upgrade was refused");
    Ok(stream)
}

fn print(reading: &Measured, stalling: &Measured) {
    println!("{:<42} {:>12} {:>12} {:>8}", "", "all read", "some stall", "ratio");
    let row = |name: &str, left: f64, right: f64| println!("{name:<42} {left:>12.1} {right:>12.1} {:>8.2}", right / left);
    for (name, of) in [
        ("posted to heard", (|measured| &measured.heard) as fn(&Measured) -> &Histogram<u64>),
        ("posted to answered", |measured| &measured.answered),
    ] {
        for percentile in [50.0, 99.0, 99.9] {
            let at = |measured| of(measured).value_at_percentile(percentile);
            row(&format!("{name}, p{percentile}, µs"), float(at(reading)), float(at(stalling)));
        }
    }
    let processor = |measured: &Measured| measured.processor.as_secs_f64() * 1e6 / float(measured.posted.max(1));
    row("the broker's processor time an event, µs", processor(reading), processor(stalling));
    row("events posted", float(reading.posted), float(stalling.posted));
    row("heard by those who read", float(reading.received), float(stalling.received));
    row("closed as slow (4202)", float(reading.slow), float(stalling.slow));
    row("closed as dead (4201)", float(reading.dead), float(stalling.dead));
}
