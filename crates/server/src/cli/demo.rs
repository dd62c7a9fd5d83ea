//! `bellwire demo`: one call, end to end, over real sockets.

mod receiver; // a receiver of webhooks that fails twice

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bytes::Bytes;
use client::api::{Api, CallAnswer};
use client::desktop::{Desktop, News, fixed};
use clock::Clock;
use futures::future::join_all;
use http_body_util::Full;
use hyper::{Method, Request};
use jiff::Timestamp;
use serde_json::{Value, json};
use server::app::App;
use server::config::{Config, Flags};
use tokio::time::timeout;

use self::receiver::Receiver;
use super::token::{TokenArgs, sign};
use super::{fail, refuse};

const INCOMING: &str = include_str!("../../../../protocol/examples/valid/hunt-group.json");
const ANSWERED: &str = include_str!("../../../../protocol/examples/valid/answered-call.json");
const ENDED: &str = include_str!("../../../../protocol/examples/valid/ended-call.json");
const MISSED: &str = include_str!("../../../../protocol/examples/valid/missed-call.json");
const FAULTY: &str = include_str!("../../../../protocol/examples/invalid/many-faults.json");
const ENREACH: &str = include_str!("../../../../protocol/examples/connectors/enreach-overflow.json");
const CUSTOMER: &str = "SBOX";
/// How long a desktop waits before the demo says that nothing came.
const PATIENCE: Duration = Duration::from_secs(5);

type Fallible<T> = Result<T, Box<dyn Error>>;

/// The stage: where the node is, and who is there.
struct Stage {
    provider: Api,
    token: String,
    desktops: Vec<Screen>,
    started: Instant,
    attempts_seen: usize,
}

struct Screen {
    name: &'static str,
    token: String,
    desktop: Desktop,
}

pub(super) fn run() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    runtime.block_on(async {
        match perform().await {
            Ok(code) => code,
            Err(error) => fail(&*error),
        }
    })
}

async fn perform() -> Fallible<ExitCode> {
    let folder = tempfile::tempdir()?;
    let anywhere = Some("127.0.0.1:0".to_owned());
    let data = Some(folder.path().to_owned());
    let flags = Flags { config: None, dev: true, listen: anywhere.clone(), ops_listen: anywhere, data };
    let config = match Config::load(&flags) {
        Ok(config) => config,
        Err(error) => return Ok(refuse(&error)),
    };
    let app = App::bind(config, Clock::system()).await?;
    let (address, ops) = app.addresses()?;
    let (address, ops) = (address.to_string(), ops.to_string());
    println!("A node listens on {address}, its data is in {}.\n", folder.path().display());
    let (done, shutdown) = tokio::sync::oneshot::channel::<()>();
    let play = async {
        let played = play(&address, &ops).await;
        drop(done);
        played
    };
    let (played, served) = tokio::join!(play, app.run(async { drop(shutdown.await) }));
    played.and(served.map_err(Into::into))?;
    println!("\nThe node has stopped. Start one of your own: cargo run --release -- serve --dev");
    Ok(ExitCode::SUCCESS)
}

async fn play(address: &str, ops: &str) -> Fallible<()> {
    let mut stage = Stage::set(address).await?;
    let rang = stage.post("the telephone of a group rings", INCOMING).await?;
    stage.show().await?;
    stage.post("somebody takes the call", ANSWERED).await?;
    stage.post("the call ends", ENDED).await?;
    stage.post("another call is missed: it waits on disk", MISSED).await?;
    stage.receipts(&rang).await?;
    stage.refused().await?;
    stage.poll(address).await?;
    stage.enreach(ops).await?;
    stage.webhook().await?;
    stage.log_out().await;
    Ok(())
}

impl Stage {
    async fn set(address: &str) -> Fallible<Self> {
        let started = Instant::now();
        let mut desktops = Vec::new();
        for (name, negotiator, device) in
            [("ADV, front desk", "ADV", "front-desk"), ("ADV, laptop", "ADV", "laptop"), ("TST, desktop", "TST", "desktop")]
        {
            let token = person(negotiator)?;
            let mut desktop = Desktop::new(address, Some(device.to_owned()), fixed(token.clone()));
            let welcome = listen(&mut desktop).await?;
            println!("  {name:<16} logs in: {}, session {}", text(&welcome, "/type"), text(&welcome, "/sessionId"));
            desktops.push(Screen { name, token, desktop });
        }
        Ok(Self { provider: Api::new(address), token: application()?, desktops, started, attempts_seen: 0 })
    }

    /// Posts an event and says who got it, after how many microseconds. Returns the event's id.
    async fn post(&mut self, what: &str, body: &'static str) -> Fallible<String> {
        let posted = Instant::now();
        println!("\n{:>9.3} ms  {what}", posted.duration_since(self.started).as_secs_f64() * 1000.0);
        let targets = body.parse::<Value>()?.pointer("/targets/negotiatorId").cloned().unwrap_or_default();
        let live = !body.contains("missedCall");
        let reached = |screen: &Screen| targets.as_array().is_some_and(|ids| ids.iter().any(|id| screen.is_of(id)));
        let told = self.desktops.iter_mut().filter(|screen| live && reached(screen)).map(|screen| screen.hear(posted));
        let request = notification(&self.token, body)?;
        let (answer, heard) = tokio::join!(self.provider.send(request), join_all(told));
        let answer = answer?;
        println!("    provider         {} after {} µs: {}", answer.status, micros(posted), text_of(&answer));
        for line in heard {
            println!("    {}", line?);
        }
        Ok(text(&body_of(&answer), "/id"))
    }

    /// The first desktop shows the call; hearing on sends the acknowledgement.
    async fn show(&mut self) -> Fallible<()> {
        let call_id = text(&INCOMING.parse()?, "/payload/id");
        if let Some(Screen { name, desktop, .. }) = self.desktops.first_mut() {
            desktop.say("shown", &call_id).await;
            println!("    {name:<16} shows it");
        }
        Ok(())
    }

    async fn receipts(&mut self, id: &str) -> Fallible<()> {
        println!("\nWhat became of the first event, as its provider is told:");
        let path = format!("/notifications/{id}/receipts");
        let answer = self.provider.send(request(Method::GET, &path, &self.token, &[("reapit-customer", CUSTOMER)])?).await?;
        for target in body_of(&answer).get("targets").and_then(Value::as_array).into_iter().flatten() {
            println!("    {target}");
        }
        Ok(())
    }

    async fn refused(&mut self) -> Fallible<()> {
        println!("\nWhat is refused, and why:");
        let faulty = FAULTY.parse::<Value>()?.pointer("/body").map(Value::to_string).unwrap_or_default();
        let answer = self.provider.send(notification(&self.token, faulty)?).await?;
        println!("    a faulty body        {}", answer.status);
        for fault in body_of(&answer).pointer("/errors").and_then(Value::as_array).into_iter().flatten() {
            println!("      {}: {}", text(fault, "/field"), text(fault, "/message"));
        }
        let foreign = sign(&TokenArgs { customer: Some("OTHER".to_owned()), ..application_args() }, Timestamp::now())?;
        for (what, token) in [("another customer's token", foreign.as_str()), ("no good token", "x.y.z")] {
            let answer = self.provider.send(notification(token, INCOMING)?).await?;
            let why = answer.header("www-authenticate").map_or_else(|| text(&body_of(&answer), "/description"), str::to_owned);
            println!("    {what:<20} {}: {why}", answer.status);
        }
        Ok(())
    }

    async fn poll(&mut self, address: &str) -> Fallible<()> {
        println!("\nThe front desk polls for missed calls:");
        let token = self.desktops.first().map(|screen| screen.token.clone()).unwrap_or_default();
        let mut api = Api::new(address);
        let listed = api.send(request(Method::GET, "/notifications", &token, &[])?).await?;
        println!("    GET                  {}: {}", listed.status, text_of(&listed));
        let etag = listed.header("etag").unwrap_or_default().to_owned();
        let again = api.send(request(Method::GET, "/notifications", &token, &[("if-none-match", &etag)])?).await?;
        println!("    GET, If-None-Match   {}", again.status);
        let id = text(&body_of(&listed), "/_embedded/0/id");
        let deleted = api.send(request(Method::DELETE, &format!("/notifications/{id}"), &token, &[])?).await?;
        println!("    DELETE {}… {}", id.get(..8).unwrap_or_default(), deleted.status);
        let empty = api.send(request(Method::GET, "/notifications", &token, &[])?).await?;
        println!("    GET                  {}: {}", empty.status, text_of(&empty));
        Ok(())
    }

    /// A customer whose telephone system is Enreach's: its own callbacks, as it documents them.
    async fn enreach(&mut self, ops: &str) -> Fallible<()> {
        println!("\nThe same from a telephone system that sends webhooks of its own (Enreach):");
        let example: Value = ENREACH.parse()?;
        let connector = json!({"vendor": "enreach", "customer": CUSTOMER, "secret": "a-secret-of-the-demo"});
        let directory = example.get("directory").cloned().unwrap_or_default();
        for (path, body) in [(format!("/directories/{CUSTOMER}"), directory), ("/connectors/pbx".to_owned(), connector)] {
            let mut request = request(Method::PUT, &path, "", &[("content-type", "application/json")])?;
            *request.body_mut() = Full::from(body.to_string());
            println!("    operator             PUT {path}: {}", Api::new(ops).send(request).await?.status);
        }
        for callback in example.get("callbacks").and_then(Value::as_array).into_iter().flatten() {
            self.call_back(callback).await?;
        }
        Ok(())
    }

    async fn call_back(&mut self, callback: &Value) -> Fallible<()> {
        let (posted, event) = (Instant::now(), text(callback, "/headers/X-Benemen-Event"));
        let headers = [("x-benemen-token", "a-secret-of-the-demo"), ("x-benemen-event", event.as_str())];
        let mut request = request(Method::POST, "/connectors/pbx", "", &headers)?;
        *request.body_mut() = Full::from(callback.get("body").map(Value::to_string).unwrap_or_default());
        let live = callback.get("actions").and_then(Value::as_array).into_iter().flatten();
        let live = live.filter(|action| text(action, "/subType") != "missedCall");
        let targets: Vec<_> = live.filter_map(|action| action.pointer("/targets/negotiatorId")?.as_array()).flatten().collect();
        let reached = |screen: &&mut Screen| targets.iter().any(|id| screen.is_of(id));
        let told = self.desktops.iter_mut().filter(reached).map(|screen| screen.hear(posted));
        let (answer, heard) = tokio::join!(self.provider.send(request), join_all(told));
        println!("    {event:<24} {}", answer?.status);
        for line in heard {
            println!("      {}", line?);
        }
        Ok(())
    }

    /// Another system is told by webhook. It fails twice; what it is sent is not lost.
    async fn webhook(&mut self) -> Fallible<()> {
        println!("\nAnother system is told of missed calls by webhook; it fails twice and then takes the delivery:");
        let mut receiver = Receiver::start().await?;
        let wish = json!({"url": receiver.url, "topicIds": ["telephony.missedCall"], "customerIds": [CUSTOMER]});
        let made = self.say(Method::POST, "/webhooks/subscriptions", wish.to_string()).await?;
        let id = text(&made, "/id");
        println!("    subscription         {id}, profile {}", text(&made, "/profile"));
        let posted = Instant::now();
        self.provider.send(notification(&self.token, MISSED)?).await?;
        loop {
            let taken = timeout(PATIENCE, receiver.taken.recv()).await?.ok_or("the receiver has stopped")?;
            let signature = taken.headers.get("webhook-signature").and_then(|value| value.to_str().ok()).unwrap_or_default();
            println!("    receiver             {} after {} µs, signed {signature}", taken.answered, micros(posted));
            if taken.answered.is_success() {
                println!("    it took              {}", String::from_utf8_lossy(&taken.body));
                break;
            }
            let attempt = self.latest_attempt(&id).await?;
            println!("    log                  {}; the demo does not wait for it", text(&attempt, "/why"));
            let path = format!("/webhooks/deliveries/{}/retry", text(&attempt, "/deliveryId"));
            self.say(Method::POST, &path, "").await?;
        }
        Ok(())
    }

    /// The attempt that was recorded last. What became of an attempt is on disk a little later than the receiver has answered.
    async fn latest_attempt(&mut self, subscription: &str) -> Fallible<Value> {
        let path = format!("/webhooks/subscriptions/{subscription}/attempts");
        let seen = self.attempts_seen;
        let looking = async {
            loop {
                let listed = self.say(Method::GET, &path, "").await?;
                let attempts = listed.pointer("/_embedded").and_then(Value::as_array).cloned().unwrap_or_default();
                match attempts.first() {
                    Some(latest) if attempts.len() > seen => return Ok::<_, Box<dyn Error>>(latest.clone()),
                    _ => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
        };
        let latest = timeout(PATIENCE, looking).await??;
        self.attempts_seen += 1;
        Ok(latest)
    }

    /// Sends a request of the application and returns the body of the answer.
    async fn say(&mut self, method: Method, path: &str, body: impl Into<Bytes>) -> Fallible<Value> {
        let mut request = request(method, path, &self.token, &[("content-type", "application/json")])?;
        *request.body_mut() = Full::from(body.into());
        Ok(body_of(&self.provider.send(request).await?))
    }

    async fn log_out(self) {
        join_all(self.desktops.into_iter().map(|screen| screen.desktop.close())).await;
    }
}

impl Screen {
    fn is_of(&self, negotiator: &Value) -> bool {
        negotiator.as_str().is_some_and(|negotiator| self.name.starts_with(negotiator))
    }

    async fn hear(&mut self, posted: Instant) -> Fallible<String> {
        // That a call was missed, or put aside elsewhere, is told by word of its own.
        let event = loop {
            let heard = listen(&mut self.desktop).await?;
            if text(&heard, "/type") == "event" {
                break heard;
            }
        };
        let after = micros(posted);
        let (what, caller) = (text(&event, "/notification/subType"), text(&event, "/notification/payload/callerId"));
        Ok(format!("{:<16} {what} after {after} µs, call {} from {caller}", self.name, text(&event, "/callId")))
    }
}

async fn listen(desktop: &mut Desktop) -> Fallible<Value> {
    match timeout(PATIENCE, desktop.next()).await? {
        News::Welcome(message) | News::Event(message) | News::Expired(message) | News::Sync(message) => Ok(message),
        News::Away(code) | News::Stopped(code) => Err(format!("the session ended with {code}").into()),
    }
}

fn person(negotiator: &str) -> Fallible<String> {
    let (customer, negotiator) = (Some(CUSTOMER.to_owned()), Some(negotiator.to_owned()));
    let args = TokenArgs { customer, negotiator, client_id: None, scope: Vec::new(), ..application_args() };
    Ok(sign(&args, Timestamp::now())?)
}

fn application() -> Fallible<String> {
    Ok(sign(&application_args(), Timestamp::now())?)
}

fn application_args() -> TokenArgs {
    TokenArgs {
        customer: None,
        negotiator: None,
        product: None,
        client_id: Some("demo-telephony".to_owned()),
        scope: vec!["notifications.telephony.write".to_owned(), "notifications.telephony.read".to_owned()],
        ttl: Duration::from_mins(5),
    }
}

fn notification(token: &str, body: impl Into<Bytes>) -> Fallible<Request<Full<Bytes>>> {
    let headers = [("content-type", "application/json"), ("reapit-customer", CUSTOMER), ("prefer", "return=representation")];
    let mut request = request(Method::POST, "/notifications", token, &headers)?;
    *request.body_mut() = Full::from(body.into());
    Ok(request)
}

fn request(method: Method, path: &str, token: &str, headers: &[(&str, &str)]) -> Fallible<Request<Full<Bytes>>> {
    let mut request = Request::builder().method(method).uri(path).header("authorization", format!("Bearer {token}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Ok(request.body(Full::default())?)
}

fn micros(since: Instant) -> u128 {
    since.elapsed().as_micros()
}

fn body_of(answer: &CallAnswer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_default()
}

fn text_of(answer: &CallAnswer) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

fn text(json: &Value, pointer: &str) -> String {
    json.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}
