//! What an event, a delivery, a missed call and a hand-shake cost the program, in instructions: counted by valgrind, so that two
//! builds can be held against each other on a busy machine.
//!
//! Counted is from when all is warm to the last answer, without the start and the stop. valgrind knows no SHA instructions, so that the
//! hash of a token counts for more than it costs.

use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use clap::{Args, ValueEnum};
use client::api::Api;
use client::session::{Heard, Session};
use http_body_util::Full;
use hyper::Request;
use rustix::process::Signal;
use serde_json::json;
use tokio::process::Command;
use tokio::task::JoinSet;

use crate::broker::Broker;
use crate::people::Signer;

const SECRET: &str = "instructions";
const CUSTOMER: &str = "SBOX";
/// Negotiators, each with a session.
const SESSIONS: usize = 50;
/// What is done before counting begins: a multiple of three, so that calls have ended.
const WARM: usize = 600;
/// Sessions that an event of a group is for.
const GROUP: usize = 10;
const UNLIMITED: [(&str, &str); 3] = [
    ("BELLWIRE_LIMITS__REQUESTS_PER_SECOND", "0"),
    ("BELLWIRE_LIMITS__POLLS_PER_SECOND", "0"),
    ("BELLWIRE_LIMITS__SESSIONS_PER_SECOND", "0"),
];
const VALGRIND: [&str; 4] = ["valgrind", "--tool=callgrind", "--instr-atstart=no", "--callgrind-out-file=/dev/null"];
/// What callgrind says at its end, before the number.
const COLLECTED: &str = "Collected :";

/// Counts instructions.
#[derive(Debug, Args)]
pub(crate) struct InstructionsArgs {
    /// Another build, to be counted beside the program.
    #[arg(long)]
    beside: Option<PathBuf>,
    /// How many are counted in each case.
    #[arg(long, default_value_t = 3000)]
    count: usize,
    /// Which cases; default: all.
    #[arg(long, value_delimiter = ',')]
    cases: Vec<Case>,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Case {
    /// An event to one session, posted with the same head each time.
    Unicast,
    /// The same, read by the HTTP library.
    Library,
    /// A delivery, of events to ten sessions.
    Fanout,
    /// A missed call, written to disk.
    Missed,
    /// A session that opens and closes.
    HandShake,
}

impl Case {
    const ALL: [Self; 5] = [Self::Unicast, Self::Library, Self::Fanout, Self::Missed, Self::HandShake];

    fn path(self) -> &'static str {
        match self {
            // The absolute form changes nothing but the reader (RFC 9112 §3.2.2).
            Self::Library => "http://bellwire/notifications",
            Self::Unicast | Self::Fanout | Self::Missed | Self::HandShake => "/notifications",
        }
    }

    fn targets(self) -> usize {
        if self == Self::Fanout { GROUP } else { 1 }
    }
}

pub(crate) async fn run(args: InstructionsArgs) -> Result<ExitCode> {
    let InstructionsArgs { beside, count, cases } = args;
    let cases = if cases.is_empty() { Case::ALL.to_vec() } else { cases };
    println!("{:<12} {:>12} {:>12} {:>8}", "", "beside", "instructions", "ratio");
    for case in cases {
        let before = match &beside {
            Some(program) => Some(count_case(Some(program.clone()), case, count).await?),
            None => None,
        };
        let now = count_case(None, case, count).await?;
        let (before_text, ratio) = match before {
            Some(before) => (format!("{before:.0}"), format!("{:.3}", now / before)),
            None => (String::new(), String::new()),
        };
        let name = case.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        println!("{name:<12} {before_text:>12} {now:>12.0} {ratio:>8}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Instructions for one of what a case counts.
async fn count_case(program: Option<PathBuf>, case: Case, count: usize) -> Result<f64> {
    let mut broker = Broker::start_under(program, &VALGRIND, SECRET, &UNLIMITED).await?;
    let signer = Signer::new(SECRET);
    if case == Case::HandShake {
        open_and_close(&broker, &signer, WARM).await?;
        switch(&broker, "on").await?;
        open_and_close(&broker, &signer, count).await?;
        switch(&broker, "off").await?;
    } else {
        let (sessions, mut api) = (log_in(&broker, &signer).await?, Api::new(broker.api.as_str()));
        post(&mut api, &signer, case, 0..WARM).await?;
        switch(&broker, "on").await?;
        post(&mut api, &signer, case, WARM..WARM + count).await?;
        switch(&broker, "off").await?;
        drop(sessions);
    }
    broker.end(Signal::TERM).await?;
    let log = broker.log()?;
    let line =
        log.lines().rev().find_map(|line| line.split_once(COLLECTED)).context("callgrind says nothing: is valgrind there?")?;
    let counted = u32::try_from(count * case.targets())?;
    Ok(line.1.trim().parse::<f64>()? / f64::from(counted))
}

/// Begins to count, or ends it.
async fn switch(broker: &Broker, to: &str) -> Result<()> {
    let pid = broker.pid().context("the broker has ended")?;
    let output = Command::new("callgrind_control").args(["-i", to, &pid]).output().await.context("callgrind_control")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Everybody logs in, and acknowledges what comes.
async fn log_in(broker: &Broker, signer: &Signer) -> Result<JoinSet<()>> {
    let mut sessions = JoinSet::new();
    for number in 0..SESSIONS {
        let mut session = Session::open(broker.api.as_str(), &signer.person(CUSTOMER, &negotiator(number))?, "").await?;
        sessions.spawn(async move {
            while let Heard::Message(message) = session.next().await {
                let is_event = message.get("type").is_some_and(|kind| kind == "event");
                if is_event && session.send(&json!({"type": "ack", "id": message.get("id")})).await.is_err() {
                    return;
                }
            }
        });
    }
    Ok(sessions)
}

fn negotiator(number: usize) -> String {
    format!("N{:02}", number % SESSIONS)
}

/// One after another, so that each is answered before the next.
async fn post(api: &mut Api, signer: &Signer, case: Case, numbers: Range<usize>) -> Result<()> {
    let token = format!("Bearer {}", signer.application()?);
    for number in numbers {
        let request = Request::post(case.path())
            .header("authorization", &token)
            .header("reapit-customer", CUSTOMER)
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(event(case, number))))?;
        let answer = api.send(request).await?;
        ensure!(answer.status == 202, "{}", String::from_utf8_lossy(&answer.body));
    }
    Ok(())
}

/// Calls ring, are answered and end.
fn event(case: Case, number: usize) -> String {
    let sub_type = match (case, number % 3) {
        (Case::Missed, _) => "missedCall",
        (_, 0) => "incomingCall",
        (_, 1) => "answeredCall",
        (_, _) => "endedCall",
    };
    let call = number / 3;
    let targets: Vec<_> = (0..case.targets()).map(|place| negotiator(call * case.targets() + place)).collect();
    let created = format!("2026-11-01T10:28:{:02}", number % 3);
    json!({
        "type": "telephony", "subType": sub_type, "products": ["AgencyCloud"], "targets": {"negotiatorId": targets},
        "payload": {
            "id": format!("call-{call:08}"), "created": created, "callerId": "07123 456789",
            "destinationId": "01234 567890", "huntGroup": false,
        },
    })
    .to_string()
}

async fn open_and_close(broker: &Broker, signer: &Signer, count: usize) -> Result<()> {
    let tokens = (0..SESSIONS).map(|number| signer.person(CUSTOMER, &negotiator(number))).collect::<Result<Vec<_>>>()?;
    for token in tokens.iter().cycle().take(count) {
        let mut session = Session::open(broker.api.as_str(), token, "").await?;
        ensure!(matches!(session.next().await, Heard::Message(_)), "no welcome");
        session.close().await;
    }
    Ok(())
}
