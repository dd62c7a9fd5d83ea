//! File, environment and flags → [`Config`], or every fault at once. Nothing else in the product reads the environment.

mod reader; // one table of values, read key by key

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use protocol::id::Product;
use sessions::life::LifeConfig;
use sessions::ring::RingConfig;
use toml::{Table, Value};

use self::reader::Reader;

/// The defaults, which are also the reference.
pub const DEFAULT: &str = include_str!("../../../deploy/bellwire.default.toml");

/// The secret of `--dev` where `BELLWIRE_DEV_SECRET` names no other.
const DEV_SECRET: &str = "bellwire-development-secret";
const DEV_SECRET_NAME: &str = "BELLWIRE_DEV_SECRET";
/// The issuer of `--dev`.
pub const DEV_ISSUER: &str = "dev";
/// RFC 7518 §3.2: a key at least as long as the hash.
const SECRET_BYTES_MIN: usize = 32;

/// How a node is to be.
#[derive(Debug, Clone)]
pub struct Config {
    /// Development: every application is installed everywhere, tokens are signed with a known secret.
    pub dev: bool,
    /// The products that people log in to.
    pub products: Vec<Product>,
    /// Where providers and products come in.
    pub listen: SocketAddr,
    /// Origins whose pages may call the API.
    pub cors_origins: Vec<String>,
    /// Where operators come in.
    pub ops_listen: SocketAddr,
    /// What operators must bring.
    pub ops_token: Option<Secret>,
    /// Who may issue tokens.
    pub issuers: Vec<Issuer>,
    /// How many verified tokens are remembered.
    pub tokens_max: usize,
    /// The data folder.
    pub folder: PathBuf,
    /// The store's own settings.
    pub store: store::Config,
    /// The sessions' own settings.
    pub sessions: sessions::Config,
    /// The kernel's send buffer for each connection, in bytes.
    pub send_buffer: u32,
    /// The limits of the door.
    pub limits: Limits,
    /// How long a shutdown can take.
    pub shutdown_grace: Duration,
    /// Over how long the ends of the sessions are spread at most.
    pub shutdown_window: Duration,
    /// How log lines look.
    pub log_format: LogFormat,
    /// What is logged.
    pub log_filter: String,
}

/// The limits of the door; 0 means none.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Requests of an application for one customer.
    pub requests: Rate,
    /// Requests of a logged-in person.
    pub polls: Rate,
    /// Requests without a good token, from one address.
    pub strangers: Rate,
    /// Sessions opened on this node.
    pub sessions: Rate,
    /// Of them, those with a token not seen before.
    pub new_tokens: Rate,
    /// Connections at once; `None`: what the descriptor limit allows.
    pub connections: Option<usize>,
    /// How long the head of a request can take.
    pub head_timeout: Duration,
    /// How long the body of a request can take.
    pub body_timeout: Duration,
    /// How long a connection can be idle between requests.
    pub idle_timeout: Duration,
    /// Idempotency keys remembered at once.
    pub idempotency_keys: usize,
}

/// So many a second, and so many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// 0: no limit.
    pub per_second: u32,
    /// How many can come at the same instant.
    pub burst: u32,
}

/// Who may issue tokens.
#[derive(Debug, Clone)]
pub struct Issuer {
    /// The claim `iss`.
    pub name: String,
    /// Asked for in `aud`.
    pub audience: Option<String>,
    /// What its tokens are verified with.
    pub keys: Keys,
}

/// What an issuer's tokens are verified with.
#[derive(Debug, Clone)]
pub enum Keys {
    /// HS256.
    Secret(Secret),
    /// RS256, ES256, EdDSA.
    JwksFile(PathBuf),
}

/// A secret; its `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Human,
    /// For programs.
    Json,
}

/// What the command line says of the configuration.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// The file.
    pub config: Option<PathBuf>,
    /// Development.
    pub dev: bool,
    /// Instead of `http.listen`.
    pub listen: Option<String>,
    /// Instead of `ops.listen`.
    pub ops_listen: Option<String>,
    /// Instead of `store.folder`.
    pub data: Option<PathBuf>,
}

/// All that is wrong with a configuration.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} faults in the configuration:\n  {}", .0.len(), .0.join("\n  "))]
pub struct ConfigError(pub Vec<String>);

impl Secret {
    /// The bytes themselves.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The secret of `--dev`: that in `BELLWIRE_DEV_SECRET`, else a well-known one.
#[must_use]
pub fn dev_secret() -> Secret {
    #[expect(clippy::disallowed_methods, reason = "this is config.rs, which alone reads the environment")]
    let named = std::env::var(DEV_SECRET_NAME);
    Secret::from(named.as_deref().unwrap_or(DEV_SECRET))
}

impl Config {
    /// Reads the file that `flags` name, the process's environment and the flags.
    ///
    /// # Errors
    /// [`ConfigError`] with every fault.
    pub fn load(flags: &Flags) -> Result<Self, ConfigError> {
        let file = match &flags.config {
            None => String::new(),
            Some(path) => {
                std::fs::read_to_string(path).map_err(|error| ConfigError(vec![format!("{}: {error}", path.display())]))?
            }
        };
        let environment =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self::from_parts(&file, environment, flags)
    }

    /// As [`Config::load`], from a file's text and an environment.
    ///
    /// # Errors
    /// [`ConfigError`] with every fault.
    pub fn from_parts(
        file: &str,
        environment: impl Iterator<Item = (String, String)>,
        flags: &Flags,
    ) -> Result<Self, ConfigError> {
        let parse = |text: &str| text.parse::<Table>().map_err(|error| ConfigError(vec![error.to_string()]));
        let mut reader = Reader::new(parse(DEFAULT)?);
        reader.lay_over(parse(file)?, "file");
        for (name, value) in environment {
            // Others have names like ours: Kubernetes sets BELLWIRE_PORT for a service called bellwire.
            let is_ours = |key: &&str| key.contains("__") || *key == "PRODUCTS";
            if let Some(key) = name.strip_prefix("BELLWIRE_").filter(is_ours) {
                reader.lay_over(from_environment(key, &value), &name);
            }
        }
        reader.lay_over(from_flags(flags), "flags");
        let config = read(&mut reader, flags.dev.then(dev_secret));
        match config {
            Some(config) if reader.faults.is_empty() => Ok(config),
            Some(_) | None => Err(ConfigError(reader.faults)),
        }
    }
}

/// Turns `HTTP__LISTEN` into a table with one value: TOML where it is TOML, else a string.
fn from_environment(key: &str, value: &str) -> Table {
    let parsed = format!("value = {value}").parse::<Table>().ok().and_then(|mut table| table.remove("value"));
    let value = parsed.unwrap_or_else(|| Value::String(value.to_owned()));
    let key = key.to_ascii_lowercase();
    match key.split_once("__") {
        Some((section, key)) => {
            Table::from_iter([(section.to_owned(), Value::Table(Table::from_iter([(key.to_owned(), value)])))])
        }
        None => Table::from_iter([(key, value)]),
    }
}

fn from_flags(flags: &Flags) -> Table {
    let data = flags.data.as_ref().map(|path| path.display().to_string());
    let given =
        [("http", "listen", flags.listen.clone()), ("ops", "listen", flags.ops_listen.clone()), ("store", "folder", data)];
    let sections = given.into_iter().filter_map(|(section, key, value)| {
        Some((section.to_owned(), Value::Table(Table::from_iter([(key.to_owned(), Value::String(value?))]))))
    });
    sections.collect()
}

fn read(reader: &mut Reader, dev_secret: Option<Secret>) -> Option<Config> {
    let dev = dev_secret.is_some();
    let products = reader.get("products", reader::products);
    let listen = reader.get("http.listen", reader::parsed::<SocketAddr>);
    let ops_listen = reader.get("ops.listen", reader::parsed::<SocketAddr>);
    let ops_token = reader.get("ops.token_file", optional_secret);
    let mut issuers = reader.issuers(read_issuer);
    if let (Some(secret), Some(issuers)) = (dev_secret, &mut issuers) {
        issuers.push(Issuer { name: DEV_ISSUER.to_owned(), audience: None, keys: Keys::Secret(secret) });
    }
    if issuers.as_ref().is_some_and(Vec::is_empty) {
        reader.fault("auth.issuers: names nobody, so no token is good; add an issuer, or start with --dev to try things out");
    }
    check_addresses(reader, dev, listen, ops_listen, ops_token.as_ref());
    let cors_origins = reader.get("http.cors_origins", reader::strings);
    let (tokens_max, folder) = (reader.get("auth.tokens_max", reader::count), reader.get("store.folder", reader::text));
    let (store, sessions) = (read_store(reader), read_sessions(reader));
    let send_buffer = reader.get("sessions.send_buffer", reader::bytes);
    let limits = read_limits(reader);
    let shutdown_grace = reader.get("shutdown.grace", reader::duration);
    let shutdown_window = reader.get("shutdown.window_max", reader::duration);
    let log_format = reader.get("log.format", read_log_format);
    let log_filter = reader.get("log.filter", reader::text);
    Some(Config {
        dev,
        products: products?,
        listen: listen?,
        cors_origins: cors_origins?,
        ops_listen: ops_listen?,
        ops_token: ops_token?,
        issuers: issuers?,
        tokens_max: tokens_max?,
        folder: PathBuf::from(folder?),
        store: store?,
        sessions: sessions?,
        send_buffer: u32::try_from(send_buffer?).unwrap_or(u32::MAX),
        limits: limits?,
        shutdown_grace: shutdown_grace?,
        shutdown_window: shutdown_window?,
        log_format: log_format?,
        log_filter: log_filter?,
    })
}

fn check_addresses(
    reader: &mut Reader,
    dev: bool,
    listen: Option<SocketAddr>,
    ops_listen: Option<SocketAddr>,
    ops_token: Option<&Option<Secret>>,
) {
    let open = |address: Option<SocketAddr>| address.filter(|address| !address.ip().is_loopback());
    if let Some(address) = open(listen).filter(|_| dev) {
        reader.fault(format!("http.listen: {address} is not loopback, and --dev lets everybody in who knows its secret"));
    }
    match (open(ops_listen), ops_token) {
        (Some(address), Some(None)) => {
            reader.fault(format!("ops.listen: {address} is not loopback, so ops.token_file must name a secret"));
        }
        (Some(address), Some(Some(_))) if dev => {
            reader.fault(format!("ops.listen: {address} is not loopback, which --dev refuses"))
        }
        (Some(_) | None, _) => {}
    }
}

fn read_store(reader: &mut Reader) -> Option<store::Config> {
    let keep_age = reader.get("store.keep_age", reader::limit);
    let keep_count = reader.get("store.keep_count", reader::small);
    let (queue_max, readers) = (reader.get("store.queue_max", reader::positive), reader.get("store.readers", reader::positive));
    let timeout = reader.get("store.timeout", reader::duration);
    Some(store::Config {
        keep_age: keep_age?,
        keep_count: keep_count?,
        queue_max: queue_max?,
        readers: readers?,
        timeout: timeout?,
    })
}

fn read_sessions(reader: &mut Reader) -> Option<sessions::Config> {
    let queue_events_max = reader.get("sessions.queue_events_max", reader::positive);
    let queue_bytes_max = reader.get("sessions.queue_bytes_max", reader::bytes);
    let write_timeout = reader.get("sessions.write_timeout", reader::duration);
    let close_timeout = reader.get("sessions.close_timeout", reader::duration);
    let read_buffer = reader.get("sessions.read_buffer", reader::bytes);
    let queues_bytes_max = reader.get("sessions.queues_bytes_max", reader::bytes);
    let sessions_per_negotiator_max = reader.get("sessions.per_negotiator_max", reader::positive);
    let (ring, life) = (read_ring(reader), read_life(reader));
    Some(sessions::Config {
        queue_events_max: queue_events_max?,
        queue_bytes_max: queue_bytes_max?,
        queues_bytes_max: queues_bytes_max?,
        sessions_per_negotiator_max: sessions_per_negotiator_max?,
        ring: ring?,
        life: life?,
        write_timeout: write_timeout?,
        close_timeout: close_timeout?,
        read_buffer: read_buffer?.max(64),
    })
}

fn read_ring(reader: &mut Reader) -> Option<RingConfig> {
    let age_max = reader.get("sessions.resume_age", reader::duration);
    let events_max = reader.get("sessions.resume_events_max", reader::positive);
    let bytes_max = reader.get("sessions.resume_bytes_max", reader::bytes);
    Some(RingConfig { age_max: age_max?, events_max: events_max?, bytes_max: bytes_max? })
}

fn read_life(reader: &mut Reader) -> Option<LifeConfig> {
    let ping_interval = reader.get("sessions.ping_interval", reader::duration);
    let pong_timeout = reader.get("sessions.pong_timeout", reader::duration);
    let ack_timeout = reader.get("sessions.ack_timeout", reader::duration);
    Some(LifeConfig { ping_interval: ping_interval?, pong_timeout: pong_timeout?, ack_timeout: ack_timeout? })
}

fn read_limits(reader: &mut Reader) -> Option<Limits> {
    let mut rate = |per_second: &str, burst: Option<&str>| {
        let per_second = reader.get(per_second, reader::small);
        let burst = burst.map_or(per_second, |burst| reader.get(burst, reader::small));
        Some(Rate { per_second: per_second?, burst: burst?.max(1) })
    };
    let requests = rate("limits.requests_per_second", Some("limits.requests_burst"));
    let polls = rate("limits.polls_per_second", Some("limits.polls_burst"));
    let strangers = rate("limits.strangers_per_second", Some("limits.strangers_burst"));
    let (sessions, new_tokens) = (rate("limits.sessions_per_second", None), rate("limits.new_tokens_per_second", None));
    let connections = reader.get("limits.connections", reader::count_or_auto);
    let head_timeout = reader.get("limits.head_timeout", reader::limit);
    let body_timeout = reader.get("limits.body_timeout", reader::limit);
    let idle_timeout = reader.get("limits.idle_timeout", reader::limit);
    let idempotency_keys = reader.get("limits.idempotency_keys", reader::count);
    Some(Limits {
        requests: requests?,
        polls: polls?,
        strangers: strangers?,
        sessions: sessions?,
        new_tokens: new_tokens?,
        connections: connections?,
        head_timeout: head_timeout?,
        body_timeout: body_timeout?,
        idle_timeout: idle_timeout?,
        idempotency_keys: idempotency_keys?,
    })
}

fn read_log_format(value: &Value) -> Result<LogFormat, String> {
    match reader::text(value)?.as_str() {
        "human" => Ok(LogFormat::Human),
        "json" => Ok(LogFormat::Json),
        other => Err(format!("must be \"human\" or \"json\", got {other:?}")),
    }
}

fn read_issuer(table: &Table) -> Result<Issuer, String> {
    const KNOWN: [&str; 4] = ["issuer", "audience", "jwks_file", "secret_file"];
    if let Some(unknown) = table.keys().find(|key| !KNOWN.contains(&key.as_str())) {
        return Err(format!("{unknown} is not known here; known are {}", KNOWN.join(", ")));
    }
    let text = |key: &str| table.get(key).map(reader::text).transpose().map_err(|fault| format!("{key} {fault}"));
    let name = text("issuer")?.filter(|name| !name.is_empty()).ok_or("issuer is required")?;
    let keys = match (text("jwks_file")?, text("secret_file")?) {
        (Some(path), None) => Keys::JwksFile(PathBuf::from(path)),
        (None, Some(path)) => Keys::Secret(read_secret(Path::new(&path))?),
        (Some(_), Some(_)) | (None, None) => return Err("either jwks_file or secret_file is required".to_owned()),
    };
    Ok(Issuer { name, audience: text("audience")?, keys })
}

fn optional_secret(value: &Value) -> Result<Option<Secret>, String> {
    match reader::text(value)?.as_str() {
        "" => Ok(None),
        path => read_secret(Path::new(path)).map(Some),
    }
}

fn read_secret(path: &Path) -> Result<Secret, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.len() < SECRET_BYTES_MIN {
        return Err(format!("{}: holds {} bytes, a secret needs at least {SECRET_BYTES_MIN}", path.display(), secret.len()));
    }
    Ok(Secret::from(secret))
}

#[cfg(test)]
mod tests;
