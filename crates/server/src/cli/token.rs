//! `bellwire token`

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Map, Value, json};
use server::config::{DEV_ISSUER, dev_secret};

use super::fail;

/// A token that says who somebody is, for a node that runs with --dev.
#[derive(Debug, Args)]
pub(super) struct TokenArgs {
    /// The customer; leave it out for an application's token, which says it with each request.
    #[arg(long)]
    pub(super) customer: Option<String>,
    /// The negotiator who is logged in.
    #[arg(long)]
    pub(super) negotiator: Option<String>,
    /// The product that they are logged in to.
    #[arg(long)]
    pub(super) product: Option<String>,
    /// The application.
    #[arg(long)]
    pub(super) client_id: Option<String>,
    /// What the application may; repeat it, or put spaces between.
    #[arg(long)]
    pub(super) scope: Vec<String>,
    /// For how long it is good.
    #[arg(long, default_value = "1h", value_parser = humantime::parse_duration)]
    pub(super) ttl: Duration,
}

pub(super) fn run(args: &TokenArgs) -> ExitCode {
    match sign(args, Timestamp::now()) {
        Ok(token) => {
            println!("{token}");
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error),
    }
}

/// Writes and signs the claims.
pub(super) fn sign(args: &TokenArgs, now: Timestamp) -> Result<String, jsonwebtoken::errors::Error> {
    let ttl = i64::try_from(args.ttl.as_secs()).unwrap_or(i64::MAX);
    let mut claims = Map::from_iter([
        ("iss".to_owned(), json!(DEV_ISSUER)),
        ("iat".to_owned(), json!(now.as_second())),
        ("exp".to_owned(), json!(now.as_second().saturating_add(ttl))),
    ]);
    let given = [
        ("client_id", &args.client_id),
        ("customerId", &args.customer),
        ("negotiatorId", &args.negotiator),
        ("product", &args.product),
    ];
    claims.extend(given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value.as_ref()?)))));
    if !args.scope.is_empty() {
        claims.insert("scope".to_owned(), json!(args.scope.join(" ")));
    }
    encode(&Header::default(), &Value::Object(claims), &EncodingKey::from_secret(dev_secret().expose()))
}
