//! The plain client: the same bodies over 16 kept connections, one request after the other on each. Nothing is kept, signed or logged.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use clap::Args;
use client::api::Api;
use http_body_util::Full;
use hyper::Request;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::broker::processor_time_of;

const CONNECTIONS: u64 = 16;

#[derive(Debug, Args)]
pub(crate) struct PlainArgs {
    #[arg(long)]
    port: u16,
    #[arg(long)]
    requests: u64,
}

/// Runs the client as a process. Returns its processor time, and how long it took.
pub(super) async fn measure(port: u16, requests: u64) -> Result<(Duration, Duration)> {
    let mut command = tokio::process::Command::new(std::env::current_exe()?);
    command.args(["plain-client", "--port", &port.to_string(), "--requests", &requests.to_string()]);
    let output = command.output().await?;
    ensure!(output.status.success(), "the plain client failed: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    let mut micros = text.split_whitespace().map(|word| -> Result<_> { Ok(Duration::from_micros(word.parse()?)) });
    let mut next = || micros.next().context("two durations")?;
    Ok((next()?, next()?))
}

pub(crate) async fn run(args: PlainArgs) -> Result<ExitCode> {
    let began = Instant::now();
    let mut connections = JoinSet::new();
    for connection in 0..CONNECTIONS {
        connections.spawn(post(args.port, connection, args.requests));
    }
    while let Some(done) = connections.join_next().await {
        done??;
    }
    println!("{} {}", processor_time_of("self")?.as_micros(), began.elapsed().as_micros());
    Ok(ExitCode::SUCCESS)
}

async fn post(port: u16, connection: u64, requests: u64) -> Result<()> {
    let mut api = Api::new(format!("127.0.0.1:{port}"));
    for number in (connection..requests).step_by(usize::try_from(CONNECTIONS)?) {
        let body = format!(
            r#"{{"type":"contacts.created","timestamp":"2026-11-22T03:00:00.000Z","data":{{"eventId":"01a202b8-9391-749b-9a88-c9cd40f94e46","customerId":"ABC","entityId":"C{number}","new":{{"id":"C{number}","surname":"Smith","forename":"John"}},"old":null,"diff":null}}}}"#
        );
        let request = Request::post("/0").header("content-type", "application/json").body(Full::from(Bytes::from(body)))?;
        let answer = api.send(request).await?;
        ensure!(answer.status.is_success(), "answered {}", answer.status);
    }
    Ok(())
}
