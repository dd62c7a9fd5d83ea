//! Where a command is done: on a running node by its operators' listener, or on the folder of one that is stopped. Each command says
//! the same to both, and both have the same rules.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use bytes::Bytes;
use clap::Args;
use client::address::{Address, AddressError};
use client::api::{Api, CallAnswer, CallError};
use http_body_util::Full;
use hyper::{Method, Request};
use serde_json::Value;
use server::config::{Config, ConfigError, Flags};
use server::stopped::{Stopped, StoppedError};
use tokio::io::AsyncWrite;

use super::{block_on, fail, put};

/// A running node, and what it asks for.
#[derive(Debug, Args)]
pub(super) struct NodeArgs {
    /// The operators' listener of a running node.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9090", global = true)]
    ops: String,
    /// A file with the operators' token, where the listener asks for one.
    #[arg(long, value_name = "FILE", global = true)]
    ops_token_file: Option<PathBuf>,
    /// Certificates (PEM) to trust beside those of the web, where --ops is https.
    #[arg(long, value_name = "FILE", global = true)]
    ops_ca_file: Option<PathBuf>,
    /// Prints JSON.
    #[arg(long, global = true)]
    json: bool,
}

/// A running node, or the folder of one that is stopped.
#[derive(Debug, Args)]
pub(super) struct PlaceArgs {
    #[command(flatten)]
    node: NodeArgs,
    /// The data folder of a stopped node, instead of --ops.
    #[arg(long, value_name = "DIR", global = true)]
    data: Option<PathBuf>,
    /// With --data: the node's configuration file, where it names its own products or a webhooks.key_file.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
}

/// What came of a command, for programs and for people.
#[derive(Debug, Default)]
pub(super) struct CommandOutput {
    pub(super) json: Value,
    pub(super) text: String,
}

impl CommandOutput {
    /// The same for both: an answer, and how it is put for people.
    pub(super) fn new(json: Value, written: impl FnOnce(&Value) -> String) -> Self {
        let text = written(&json);
        Self { json, text }
    }

    /// A sentence for people. A program sees by the exit code that it was done.
    pub(super) fn sentence(text: impl Into<String>) -> Self {
        Self { json: Value::Null, text: format!("{}\n", text.into()) }
    }
}

/// Why a command was not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpsError {
    #[error("--ops {0}")]
    Address(AddressError),
    #[error("{path}")]
    File { path: PathBuf, source: std::io::Error },
    #[error("the operators' listener does not answer; is the node running? Of a stopped node most commands take --data DIR")]
    Unreachable(#[source] CallError),
    #[error("the answer was not received")]
    Answer(#[source] CallError),
    #[error("{0}")]
    Missing(String),
    #[error("refused with {status}: {description}")]
    Refused { status: u16, description: String },
    #[error("the request cannot be written")]
    Request(#[from] hyper::http::Error),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Stopped(#[from] StoppedError),
}

/// Where a command is done.
pub(super) enum Place {
    Running { api: Box<Api>, token: Option<String> },
    Stopped(Box<Stopped>),
}

impl NodeArgs {
    /// Does a command on a running node, and prints what came of it.
    pub(super) fn run<E>(&self, command: impl AsyncFnOnce(&mut Place) -> Result<CommandOutput, E>) -> ExitCode
    where
        E: std::error::Error + From<OpsError>,
    {
        block_on(async {
            let done = match self.place() {
                Ok(mut place) => command(&mut place).await,
                Err(error) => Err(error.into()),
            };
            tell(done, self.json)
        })
    }

    fn place(&self) -> Result<Place, OpsError> {
        let address = Address::parse(&self.ops, self.ops_ca_file.as_deref()).map_err(OpsError::Address)?;
        let read = |path: &PathBuf| fs::read_to_string(path).map_err(|source| OpsError::File { path: path.clone(), source });
        let token = self.ops_token_file.as_ref().map(read).transpose()?.map(|token| token.trim_end().to_owned());
        Ok(Place::Running { api: Box::new(Api::new(address)), token })
    }
}

impl PlaceArgs {
    /// Does a command where it is to be done, and prints what came of it.
    pub(super) fn run<E>(&self, command: impl AsyncFnOnce(&mut Place) -> Result<CommandOutput, E>) -> ExitCode
    where
        E: std::error::Error + From<OpsError>,
    {
        block_on(async {
            let done = match self.place().await {
                Ok(mut place) => {
                    let done = command(&mut place).await;
                    place.close().await;
                    done
                }
                Err(error) => Err(error.into()),
            };
            tell(done, self.node.json)
        })
    }

    async fn place(&self) -> Result<Place, OpsError> {
        let Some(data) = self.data.clone() else { return self.node.place() };
        let flags = Flags { config: self.config.clone(), data: Some(data), ..Flags::default() };
        Ok(Place::Stopped(Box::new(Stopped::open(Config::of_folder(&flags)?).await?)))
    }
}

fn tell<E: std::error::Error>(done: Result<CommandOutput, E>, json: bool) -> ExitCode {
    match done {
        Ok(CommandOutput { json: Value::Null, .. }) if json => {}
        Ok(CommandOutput { json: shown, .. }) if json => put(format!("{shown}\n")),
        Ok(CommandOutput { text, .. }) => put(text),
        Err(error) => return fail(&error),
    }
    ExitCode::SUCCESS
}

impl Place {
    /// Says something, and returns the answer, where there is one.
    pub(super) async fn send(&mut self, method: Method, path: &str, body: Option<Value>) -> Result<Value, OpsError> {
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        Ok(self.ask(method, path, body).await?.0)
    }

    /// Returns all entries of a list, page by page.
    pub(super) async fn list(&mut self, path: &str) -> Result<Value, OpsError> {
        let (mut all, mut next) = (Vec::new(), Some(path.to_owned()));
        while let Some(path) = next {
            let (page, link) = self.ask(Method::GET, &path, String::new()).await?;
            match page {
                Value::Array(entries) => all.extend(entries),
                other => all.push(other),
            }
            next = link;
        }
        Ok(Value::Array(all))
    }

    /// Writes an answer to `sink` as it comes.
    pub(super) async fn download(&mut self, path: &str, sink: &mut (impl AsyncWrite + Unpin)) -> Result<(), OpsError> {
        let request = self.request(Method::GET, path, String::new())?;
        let answer = match self {
            Self::Running { api, .. } => api.download(request, sink).await.map_err(unanswered)?,
            Self::Stopped(stopped) => stopped.download(request, sink).await.map_err(unanswered)?,
        };
        understand(&answer).map(drop)
    }

    async fn ask(&mut self, method: Method, path: &str, body: String) -> Result<(Value, Option<String>), OpsError> {
        let request = self.request(method, path, body)?;
        let answer = match self {
            Self::Running { api, .. } => api.send(request).await.map_err(unanswered)?,
            Self::Stopped(stopped) => stopped.send(request).await.map_err(unanswered)?,
        };
        let next = answer.header("link").and_then(|link| link.strip_prefix('<')?.strip_suffix(">; rel=\"next\""));
        Ok((understand(&answer)?, next.map(str::to_owned)))
    }

    fn request(&self, method: Method, path: &str, body: String) -> Result<Request<Full<Bytes>>, OpsError> {
        let mut request = Request::builder().method(method).uri(path).header("content-type", "application/json");
        if let Self::Running { token: Some(token), .. } = self {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        Ok(request.body(Full::from(Bytes::from(body)))?)
    }

    async fn close(self) {
        if let Self::Stopped(stopped) = self {
            stopped.close().await;
        }
    }
}

fn unanswered(error: CallError) -> OpsError {
    match error {
        CallError::Connect { .. } => OpsError::Unreachable(error),
        CallError::Broken(_) | CallError::Cut(_) | CallError::TooLarge => OpsError::Answer(error),
    }
}

fn understand(answer: &CallAnswer) -> Result<Value, OpsError> {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if answer.status.is_success() {
        return Ok(body);
    }
    let errors = body.get("errors").and_then(Value::as_array).into_iter().flatten();
    let errors = errors.map(|error| format!("\n  {}: {}", text(error, "field"), text(error, "message")));
    let description = errors.fold(text(&body, "description").to_owned(), |all, error| all + &error);
    match answer.status.as_u16() {
        404 => Err(OpsError::Missing(decapitalised(&description))),
        status => Err(OpsError::Refused { status, description }),
    }
}

fn decapitalised(sentence: &str) -> String {
    let mut chars = sentence.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

/// A member of an answer that is a text; empty where it is none.
pub(super) fn text<'v>(of: &'v Value, name: &str) -> &'v str {
    of.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The entries of a list, a line each.
pub(super) fn lines(list: &Value, line: impl Fn(&Value) -> String) -> String {
    list.as_array().into_iter().flatten().map(|entry| line(entry) + "\n").collect()
}

/// The texts of a list with spaces between; `-` where there are none.
pub(super) fn words(of: &Value, name: &str) -> String {
    let words = of.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let words = words.collect::<Vec<_>>().join(" ");
    if words.is_empty() { "-".to_owned() } else { words }
}
