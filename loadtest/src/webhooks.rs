//! Webhooks: what a delivery costs, how long it takes, what endpoints that hang cost the others, what a million queued cost, and how
//! soon deliveries go on after `kill -9`. Beside it a plain client that posts the same bodies over kept connections.

mod receiver; // takes requests as cheaply as it can, and notes when each came
mod plain; // the plain client, a process of its own

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use clap::Args;
use client::api::Api;
use hdrhistogram::Histogram;
use http_body_util::Full;
use hyper::Request;
use indicatif::ProgressBar;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use self::receiver::{Behaviour, Receiver};
use crate::broker::{Broker, raise_descriptor_limit};
use crate::figures::median;
use crate::people::Signer;

pub(crate) use self::plain::{PlainArgs, run as run_plain};

const SECRET: &str = "bellwire-webhooks-secret";
/// Reports in one request.
const BATCH: u64 = 500;
/// Requests with reports at once.
const POSTERS: usize = 4;
/// How long to wait for what must come.
const PATIENCE: Duration = Duration::from_secs(600);

#[derive(Debug, Args)]
pub(crate) struct WebhooksArgs {
    /// How many deliveries a measurement of cost makes.
    #[arg(long, default_value_t = 50_000)]
    deliveries: u64,
    /// How many rounds each measurement has; medians are shown.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How many deliveries are queued for the measurement of memory and recovery; 0 leaves it out.
    #[arg(long, default_value_t = 1_000_000)]
    queued: u64,
    /// How long the measurements at a fixed rate are, in seconds.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
}

pub(crate) async fn run(args: WebhooksArgs) -> Result<ExitCode> {
    raise_descriptor_limit();
    let mut rows = vec![];
    for _ in 0..args.rounds {
        rows.push(cost(&args).await?);
    }
    print_medians(&rows);
    println!("acceptance to arrival at 200/s: {}", shown(&latency(&args, 200).await?));
    hanging(&args).await?;
    if args.queued > 0 {
        million(&args).await?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A node and its caller.
struct Stage {
    broker: Broker,
    token: String,
}

impl Stage {
    async fn start() -> Result<Self> {
        let unlimited = [("BELLWIRE_LIMITS__REQUESTS_PER_SECOND", "0")];
        let broker = Broker::start(SECRET, &unlimited).await?;
        Ok(Self { broker, token: Signer::new(SECRET).reporter()? })
    }

    async fn subscribe(&self, url: &str, customer: &str) -> Result<()> {
        let wish = json!({"url": url, "topicIds": ["contacts.created"], "customerIds": [customer]});
        let answer = post(&mut Api::new(&self.broker.api), &self.token, "/webhooks/subscriptions", wish.to_string()).await?;
        ensure!(answer == 201, "a subscription was answered {answer}");
        Ok(())
    }

    /// Reports contacts of a customer with these numbers, in batches, by several callers at once.
    async fn report(&self, customer: &str, numbers: std::ops::Range<u64>) -> Result<()> {
        let mut callers = JoinSet::new();
        let batches: Vec<_> = numbers.clone().step_by(usize::try_from(BATCH)?).collect();
        for caller in 0..POSTERS {
            let own: Vec<_> = batches.iter().skip(caller).step_by(POSTERS).copied().collect();
            let (api, token, customer, end) = (self.broker.api.clone(), self.token.clone(), customer.to_owned(), numbers.end);
            callers.spawn(async move {
                let mut api = Api::new(&api);
                for first in own {
                    let batch: Vec<_> = (first..end.min(first + BATCH)).map(|number| contact(&customer, number)).collect();
                    let answer = post(&mut api, &token, "/events", format!("[{}]", batch.join(","))).await?;
                    ensure!(answer == 202, "a report was answered {answer}");
                }
                Ok(())
            });
        }
        while let Some(done) = callers.join_next().await {
            done??;
        }
        Ok(())
    }
}

/// One report; its delivery has about 300 bytes.
fn contact(customer: &str, number: u64) -> String {
    format!(
        r#"{{"catalogue":"reapit","topic":"contacts.created","customerId":"{customer}","entityId":"C{number}","occurredAt":"2026-11-22T03:00:00Z","new":{{"id":"C{number}","surname":"Smith","forename":"John"}}}}"#
    )
}

async fn post(api: &mut Api, token: &str, path: &str, body: String) -> Result<u16> {
    let request = Request::post(path).header("authorization", format!("Bearer {token}"));
    let request = request.header("content-type", "application/json").body(Full::from(Bytes::from(body)))?;
    Ok(api.send(request).await?.status.as_u16())
}

/// Processor time a delivery, and deliveries a second: to one endpoint, to a hundred, and by the plain client.
async fn cost(args: &WebhooksArgs) -> Result<Vec<(&'static str, f64)>> {
    let mut row = Vec::new();
    for (endpoints, time, rate) in
        [(1, "one endpoint, µs a delivery", "one endpoint, a second"), (100, "a hundred, µs a delivery", "a hundred, a second")]
    {
        let (stage, receiver) = (Stage::start().await?, Receiver::start(Behaviour::Answer).await?);
        for endpoint in 0..endpoints {
            stage.subscribe(&receiver.url(&format!("/{endpoint}")), "ABC").await?;
        }
        // So that what is only done once is not counted.
        stage.report("ABC", 0..BATCH).await?;
        receiver.wait_for(BATCH * endpoints, PATIENCE).await?;
        sleep(Duration::from_millis(200)).await;
        let (before, began, events) = (stage.broker.processor_time()?, Instant::now(), args.deliveries / endpoints);
        stage.report("ABC", BATCH..BATCH + events).await?;
        receiver.wait_for((BATCH + events) * endpoints, PATIENCE).await?;
        let took = began.elapsed();
        // What became of the last ones is written now.
        sleep(Duration::from_millis(200)).await;
        let spent = stage.broker.processor_time()? - before;
        let deliveries = f64::from(u32::try_from(events * endpoints)?);
        row.push((time, spent.as_secs_f64() * 1e6 / deliveries));
        row.push((rate, deliveries / took.as_secs_f64()));
    }
    let receiver = Receiver::start(Behaviour::Answer).await?;
    let (spent, took) = plain::measure(receiver.port(), args.deliveries).await?;
    let deliveries = f64::from(u32::try_from(args.deliveries)?);
    row.push(("plain client, µs a request", spent.as_secs_f64() * 1e6 / deliveries));
    row.push(("plain client, a second", deliveries / took.as_secs_f64()));
    Ok(row)
}

fn print_medians(rows: &[Vec<(&'static str, f64)>]) {
    let names: Vec<_> = rows.first().into_iter().flatten().map(|(name, _)| *name).collect();
    for (place, name) in names.iter().enumerate() {
        let mut values: Vec<f64> = rows.iter().filter_map(|row| row.get(place).map(|(_, value)| *value)).collect();
        values.sort_by(f64::total_cmp);
        println!("{name:<32} {:>10.1}   {values:.1?}", median(values.iter().copied()));
    }
}

/// From when a report was to be posted to its arrival, at a fixed rate.
async fn latency(args: &WebhooksArgs, rate: u32) -> Result<Histogram<u64>> {
    let (stage, receiver) = (Stage::start().await?, Receiver::start(Behaviour::Answer).await?);
    stage.subscribe(&receiver.url("/0"), "ABC").await?;
    stage.report("ABC", 0..BATCH).await?;
    receiver.wait_for(BATCH, PATIENCE).await?;
    receiver.forget();
    let count = u64::from(rate) * args.seconds;
    let due = paced(&stage, &["ABC"], rate, 10_000..10_000 + count).await?;
    receiver.wait_for(count, PATIENCE).await?;
    arrivals(&receiver, &due, |_| true)
}

/// Posts single reports at fixed times, to the customers in turn. Returns when each was due.
async fn paced(stage: &Stage, customers: &[&str], rate: u32, numbers: std::ops::Range<u64>) -> Result<Vec<(u64, Instant)>> {
    let (mut ticks, mut under_way, mut due) = (ticks(rate), JoinSet::new(), Vec::new());
    let mut idle: Vec<Api> = (0..16).map(|_| Api::new(&stage.broker.api)).collect();
    for (number, customer) in numbers.zip(customers.iter().cycle()) {
        let at = ticks.recv().await.context("time stood still")?;
        due.push((number, at));
        let mut api = match idle.pop() {
            Some(api) => api,
            None => under_way.join_next().await.context("a caller")???,
        };
        let (token, body) = (stage.token.clone(), contact(customer, number));
        under_way.spawn(async move {
            let answer = post(&mut api, &token, "/events", body).await?;
            ensure!(answer == 202, "a report was answered {answer}");
            Ok(api)
        });
        while let Some(done) = under_way.try_join_next() {
            idle.push(done??);
        }
    }
    while let Some(done) = under_way.join_next().await {
        done??;
    }
    Ok(due)
}

/// Ticks at a fixed rate, from a thread of its own: the runtime's timers are as coarse as what is measured.
fn ticks(rate: u32) -> mpsc::UnboundedReceiver<Instant> {
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        let mut due = std::time::Instant::now();
        while sender.send(due.into()).is_ok() {
            due += Duration::from_secs(1) / rate;
            std::thread::sleep(due.saturating_duration_since(std::time::Instant::now()));
        }
    });
    receiver
}

fn arrivals(receiver: &Receiver, due: &[(u64, Instant)], wanted: impl Fn(u64) -> bool) -> Result<Histogram<u64>> {
    let mut histogram = Histogram::new_with_bounds(1, 600_000_000, 3)?;
    for (number, at) in due.iter().filter(|(number, _)| wanted(*number)) {
        let came = receiver.came(*number).with_context(|| format!("C{number} did not arrive"))?;
        histogram.record(u64::try_from(came.duration_since(*at).as_micros())?.max(1))?;
    }
    Ok(histogram)
}

fn shown(histogram: &Histogram<u64>) -> String {
    let at = |quantile| Duration::from_micros(histogram.value_at_quantile(quantile));
    format!("p50 {:.2?}, p99 {:.2?}, p99.9 {:.2?}, {} deliveries", at(0.5), at(0.99), at(0.999), histogram.len())
}

/// Ten endpoints, none or three of which hang: how fast a burst reaches the others, and how late single events do.
async fn hanging(args: &WebhooksArgs) -> Result<()> {
    let customers = ["AAA", "BBB", "CCC", "DDD", "EEE", "FFF", "GGG", "HHH", "III", "JJJ"];
    let (mut rates, mut late) = (Vec::new(), Vec::new());
    for round in 0..2 * args.rounds {
        let hang = if round % 2 == 0 { 0 } else { 3 };
        let stage = Stage::start().await?;
        let (good, bad) = (Receiver::start(Behaviour::Answer).await?, Receiver::start(Behaviour::Hang).await?);
        for (place, customer) in customers.iter().enumerate() {
            let receiver = if place < hang { &bad } else { &good };
            stage.subscribe(&receiver.url(&format!("/{customer}")), customer).await?;
        }
        let (healthy, each) = (customers.len() - hang, args.deliveries / 20);
        let began = Instant::now();
        for (place, customer) in (0_u64..).zip(customers) {
            stage.report(customer, place * 100_000..place * 100_000 + each).await?;
        }
        good.wait_for(each * u64::try_from(healthy)?, PATIENCE).await?;
        let rate = f64::from(u32::try_from(each * u64::try_from(healthy)?)?) / began.elapsed().as_secs_f64();
        good.forget();
        let numbers = 5_000_000..5_000_000 + 300 * args.seconds;
        let due = paced(&stage, &customers, 300, numbers).await?;
        let is_healthy = |number: u64| usize::try_from(number % 10).is_ok_and(|place| place >= hang);
        let expected = due.iter().filter(|(number, _)| is_healthy(*number)).count();
        good.wait_for(u64::try_from(expected)?, PATIENCE).await?;
        let histogram = arrivals(&good, &due, is_healthy)?;
        println!("{hang} of 10 hang: {rate:.0} deliveries/s to the healthy; at 300 reports/s {}", shown(&histogram));
        rates.push((hang, rate));
        late.push((hang, f64::from(u32::try_from(histogram.value_at_quantile(0.99))?)));
    }
    let with = |of: &[(usize, f64)], hang: usize| median(of.iter().filter(|(other, _)| *other == hang).map(|(_, value)| *value));
    println!("rate with 3 of 10 hanging: {:.2} × of without", with(&rates, 3) / with(&rates, 0));
    println!("p99 with 3 of 10 hanging: {:.2} × of without", with(&late, 3) / with(&late, 0));
    Ok(())
}

/// So many queued for an endpoint that hangs; then `kill -9`, a start, and all of them to an endpoint that answers.
async fn million(args: &WebhooksArgs) -> Result<()> {
    let mut stage = Stage::start().await?;
    let receiver = Receiver::start(Behaviour::Hang).await?;
    stage.subscribe(&receiver.url("/0"), "ABC").await?;
    let bar = ProgressBar::new(args.queued);
    let began = Instant::now();
    for first in (0..args.queued).step_by(10_000) {
        stage.report("ABC", first..args.queued.min(first + 10_000)).await?;
        bar.set_position(first);
    }
    bar.finish_and_clear();
    let took = began.elapsed();
    println!(
        "{} queued at {:.0}/s; memory {} MiB",
        args.queued,
        f64::from(u32::try_from(args.queued)?) / took.as_secs_f64(),
        stage.broker.memory()?
    );
    stage.broker.end(Signal::KILL).await?;
    receiver.behave(Behaviour::Answer);
    let began = Instant::now();
    stage.broker.start_again().await?;
    println!("ready {:.2?} after the start that followed kill -9", began.elapsed());
    receiver.wait_for(1, PATIENCE).await?;
    println!("first delivery {:.2?} after that start", began.elapsed());
    receiver.wait_for(args.queued, PATIENCE).await?;
    let took = began.elapsed();
    println!("all arrived after {took:.1?}, {} of them repeated; memory {} MiB", receiver.repeated(), stage.broker.memory()?);
    let missing = (0..args.queued).filter(|number| receiver.came(*number).is_none()).count();
    println!("missing: {missing}");
    ensure!(missing == 0, "deliveries were lost");
    stage.broker.end(Signal::TERM).await?;
    Ok(())
}

/// Which event a delivery is of.
fn number_of(body: &[u8]) -> Option<u64> {
    let body: Value = serde_json::from_slice(body).ok()?;
    body.pointer("/data/entityId")?.as_str()?.strip_prefix('C')?.parse().ok()
}
