//! Speaking to the operators' listener of a running node.

use std::fs;
use std::path::PathBuf;

use bytes::Bytes;
use clap::Args;
use client::api::{Answer, Api, ApiError};
use http_body_util::Full;
use hyper::{Method, Request};
use serde_json::Value;

/// Where the node is, and what it asks for.
#[derive(Debug, Args)]
pub(super) struct OpsArgs {
    /// The operators' listener of a running node.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9090", global = true)]
    ops: String,
    /// A file with the operators' token, where the listener asks for one.
    #[arg(long, value_name = "FILE", global = true)]
    ops_token_file: Option<PathBuf>,
}

/// Where a command is to be done, and how it answers.
#[derive(Debug, Args)]
pub(super) struct PlaceArgs {
    #[command(flatten)]
    pub(super) ops: OpsArgs,
    /// The data folder of a stopped node, instead of --ops.
    #[arg(long, value_name = "DIR", global = true)]
    pub(super) data: Option<PathBuf>,
    /// Prints JSON.
    #[arg(long, global = true)]
    pub(super) json: bool,
}

/// Why the node did not do it.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpsError {
    #[error("--ops must be a URL such as http://127.0.0.1:9090, got {0:?}")]
    Url(String),
    #[error("{path}")]
    TokenFile { path: PathBuf, source: std::io::Error },
    #[error("the operators' listener does not answer; is the node running?")]
    Api(#[from] ApiError),
    #[error("the node refused with {status}: {description}")]
    Refused { status: u16, description: String },
    #[error("the request cannot be written")]
    Request(#[from] hyper::http::Error),
}

impl OpsArgs {
    /// Sends a request; gives the body of the answer, where there is one.
    pub(super) async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Result<Option<Value>, OpsError> {
        let authority = self.ops.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
        let authority = authority.filter(|rest| !rest.contains('/')).ok_or_else(|| OpsError::Url(self.ops.clone()))?;
        let mut request = Request::builder().method(method).uri(path).header("content-type", "application/json");
        if let Some(path) = &self.ops_token_file {
            let token = fs::read_to_string(path).map_err(|source| OpsError::TokenFile { path: path.clone(), source })?;
            request = request.header("authorization", format!("Bearer {}", token.trim_end()));
        }
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        understand(&Api::new(authority).send(request.body(Full::from(Bytes::from(body)))?).await?)
    }
}

fn understand(answer: &Answer) -> Result<Option<Value>, OpsError> {
    let body: Option<Value> = serde_json::from_slice(&answer.body).ok();
    if answer.status.is_success() {
        return Ok(body);
    }
    let text = |of: &Value, name: &str| of.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let errors = body.as_ref().and_then(|body| body.get("errors")).and_then(Value::as_array);
    let errors = errors.into_iter().flatten().map(|error| format!("\n  {}: {}", text(error, "field"), text(error, "message")));
    let description = body.as_ref().map(|body| text(body, "description")).unwrap_or_default();
    let description = errors.fold(description, |all, error| all + &error);
    Err(OpsError::Refused { status: answer.status.as_u16(), description })
}
