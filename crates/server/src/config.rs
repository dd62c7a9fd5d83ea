//! File, environment and flags → [`Config`], or every fault at once. Nothing else in the product reads the environment.

pub mod origin; // where a value came from, and what is wrong with one
mod lines; // a text's values and their lines
pub mod show; // the effective configuration, for who asks
mod listeners; // addresses, TLS, and who stands between
mod telemetry; // where traces go
mod read; // the table of values → `Config`, key by key
pub(crate) mod issuers; // who may issue tokens, and where their keys come from
mod reader; // one table of values, laid over the defaults
mod values; // one value, as the program works with it

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use protocol::id::Product;
use toml::{Table, Value};
use url::Url;

use self::origin::{ConfigFault, Origin};
use self::reader::Reader;
use self::show::ShownSetting;

pub use self::listeners::{Proxies, TlsFiles, ToldBy};
pub use self::telemetry::Telemetry;

/// The defaults, which are also the reference.
pub const DEFAULT: &str = include_str!("../../../deploy/bellwire.default.toml");

/// The secret of `--dev` where `BELLWIRE_DEV_SECRET` names no other.
const DEV_SECRET: &str = "bellwire-development-secret";
const DEV_SECRET_NAME: &str = "BELLWIRE_DEV_SECRET";
/// The issuer of `--dev`.
pub const DEV_ISSUER: &str = "dev";

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
    /// Its certificate, where it speaks TLS.
    pub tls: Option<TlsFiles>,
    /// Who stands between.
    pub proxies: Proxies,
    /// Where operators come in.
    pub ops_listen: SocketAddr,
    /// Its certificate, where it speaks TLS.
    pub ops_tls: Option<TlsFiles>,
    /// What operators must bring.
    pub ops_token: Option<ConfigSecret>,
    /// Who may issue tokens.
    pub issuers: Vec<Issuer>,
    /// How many verified tokens are remembered.
    pub tokens_max: usize,
    /// How old keys that come from a URL can become before they are fetched again.
    pub keys_interval: Duration,
    /// Certificates of authorities that are trusted besides the public ones where keys are fetched.
    pub issuers_ca_file: Option<PathBuf>,
    /// The data folder.
    pub folder: PathBuf,
    /// The store's own settings.
    pub store: store::Config,
    /// The sessions' own settings.
    pub sessions: sessions::config::Config,
    /// The webhooks' own settings.
    pub webhooks: webhooks::engine::Config,
    /// The key that secrets are sealed with; in the data folder where there is none.
    pub key_file: Option<PathBuf>,
    /// The kernel's send buffer for each connection, in bytes.
    pub send_buffer: u32,
    /// The server's own limits.
    pub limits: Limits,
    /// How long a shutdown can take.
    pub shutdown_grace: Duration,
    /// Over how long the ends of the sessions are spread at most.
    pub shutdown_window: Duration,
    /// Where traces go.
    pub telemetry: Option<Telemetry>,
    /// How log lines look.
    pub log_format: LogFormat,
    /// What is logged.
    pub log_filter: String,
}

/// The server's own limits; 0 means none.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Requests of an application for one customer.
    pub requests: Rate,
    /// Requests of a logged-in person.
    pub polls: Rate,
    /// Requests without a good token, from one address.
    pub strangers: Rate,
    /// Callbacks of one connector.
    pub callbacks: Rate,
    /// Sessions opened on this node.
    pub sessions: Rate,
    /// Of them, those with a token not seen before.
    pub new_tokens: Rate,
    /// Requests whose caller asks for their trace to be told.
    pub traces: Rate,
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
    Secret(ConfigSecret),
    /// A key set in a file.
    JwksFile(PathBuf),
    /// A key set at a URL.
    JwksUrl(Url),
    /// What the issuer tells of itself at this URL (OpenID Connect Discovery 1.0) says where its key set is.
    Discovery(Url),
}

/// A secret; its `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct ConfigSecret(Vec<u8>);

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
pub struct ConfigError(pub Vec<ConfigFault>);

/// What a configuration is read for.
#[derive(Debug, Clone)]
enum Purpose {
    /// Serving.
    Serve,
    /// Serving while things are tried out, with this secret.
    Develop(ConfigSecret),
    /// What can be done to the folder of a node that is stopped: nobody is let in, so it does not matter who would be.
    Folder,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        write!(f, "{count} fault{} in the configuration:", if count == 1 { "" } else { "s" })?;
        self.0.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}

impl ConfigSecret {
    /// The bytes themselves.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl From<&str> for ConfigSecret {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl fmt::Debug for ConfigSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The secret of `--dev`: that in `BELLWIRE_DEV_SECRET`, else a well-known one.
#[must_use]
pub fn dev_secret() -> ConfigSecret {
    #[expect(clippy::disallowed_methods, reason = "this is config.rs, which alone reads the environment")]
    let named = std::env::var(DEV_SECRET_NAME);
    ConfigSecret::from(named.as_deref().unwrap_or(DEV_SECRET))
}

impl Config {
    /// Reads the file that `flags` name, the process's environment and the flags.
    ///
    /// # Errors
    /// [`ConfigError`] with every fault.
    pub fn load(flags: &Flags) -> Result<Self, ConfigError> {
        Self::explained(flags).map(|(config, _)| config)
    }

    /// As [`Config::load`], with each value and where it came from.
    ///
    /// # Errors
    /// [`ConfigError`] with every fault.
    pub fn explained(flags: &Flags) -> Result<(Self, Vec<ShownSetting>), ConfigError> {
        let purpose = if flags.dev { Purpose::Develop(dev_secret()) } else { Purpose::Serve };
        read_all(&file_of(flags)?, environment(), flags, purpose)
    }

    /// As [`Config::load`], for the folder of a node that is stopped: who may issue tokens and who may come in is left out, as are the
    /// files with their secrets.
    ///
    /// # Errors
    /// [`ConfigError`] with every fault.
    pub fn of_folder(flags: &Flags) -> Result<Self, ConfigError> {
        read_all(&file_of(flags)?, environment(), flags, Purpose::Folder).map(|(config, _)| config)
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
        let purpose = if flags.dev { Purpose::Develop(dev_secret()) } else { Purpose::Serve };
        read_all(file, environment, flags, purpose).map(|(config, _)| config)
    }
}

fn file_of(flags: &Flags) -> Result<String, ConfigError> {
    let Some(path) = &flags.config else { return Ok(String::new()) };
    std::fs::read_to_string(path).map_err(|error| {
        let message = format!("{}: {error}", path.display());
        ConfigError(vec![ConfigFault { key: String::new(), message, origin: Origin::Flag("--config") }])
    })
}

fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// The reference, the file over it, the environment over that, and flags over all.
fn read_all(
    file: &str,
    environment: impl Iterator<Item = (String, String)>,
    flags: &Flags,
    purpose: Purpose,
) -> Result<(Config, Vec<ShownSetting>), ConfigError> {
    let (reference, lines) = parse(DEFAULT, Path::new("bellwire.default.toml"))?;
    let mut reader = Reader::new(reference, &lines);
    let path = flags.config.as_deref().unwrap_or(Path::new("file"));
    let (table, lines) = parse(file, path)?;
    reader.lay_file_over(table, lines, path);
    for (name, value) in environment {
        // Others have names like ours: Kubernetes sets BELLWIRE_PORT for a service called bellwire.
        let is_ours = |key: &&str| key.contains("__") || *key == "PRODUCTS";
        if let Some(key) = name.strip_prefix("BELLWIRE_").filter(is_ours) {
            reader.lay_over(from_environment(key, &value), &|_| Origin::Environment(name.clone()));
        }
    }
    for (section, key, flag, value) in from_flags(flags, &purpose) {
        let table = Table::from_iter([(section.to_owned(), Value::Table(Table::from_iter([(key.to_owned(), value)])))]);
        reader.lay_over(table, &|_| Origin::Flag(flag));
    }
    let mut settings = dev_settings(&purpose);
    settings.extend(reader.settings());
    let config = read::config(&mut reader, purpose);
    if reader.faults.is_empty() { Ok((config, settings)) } else { Err(ConfigError(in_order(reader.faults))) }
}

/// Those of the file by line, then those of what was said otherwise, then those of what was not said.
fn in_order(mut faults: Vec<ConfigFault>) -> Vec<ConfigFault> {
    faults.sort_by_key(|fault| match &fault.origin {
        Origin::File { line, .. } => (0, *line),
        Origin::Environment(_) | Origin::Flag(_) => (1, 0),
        Origin::Default => (2, 0),
    });
    faults
}

/// Reads a text; all that is wrong with it is told, line by line.
fn parse(text: &str, path: &Path) -> Result<(Table, lines::Lines), ConfigError> {
    lines::read(text).map_err(|faults| {
        let fault = |(line, message)| {
            let origin = Origin::File { path: path.to_owned(), line };
            ConfigFault { key: String::new(), message, origin }
        };
        ConfigError(faults.into_iter().map(fault).collect())
    })
}

/// What `--dev` brings, which no key of the file can say.
fn dev_settings(purpose: &Purpose) -> Vec<ShownSetting> {
    if !matches!(purpose, Purpose::Develop(_)) {
        return Vec::new();
    }
    let is_named = std::env::var_os(DEV_SECRET_NAME).is_some();
    let origin = if is_named { Origin::Environment(DEV_SECRET_NAME.to_owned()) } else { Origin::Default };
    let setting = |key: &str, value: Value, origin| ShownSetting::new(key.to_owned(), &value, origin);
    vec![setting("--dev", Value::Boolean(true), Origin::Flag("--dev")), setting("--dev secret", Value::from("known"), origin)]
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

/// Section, key, flag and value of each flag. Who speaks to a folder lets nobody in, whatever the file says of that.
fn from_flags(flags: &Flags, purpose: &Purpose) -> Vec<(&'static str, &'static str, &'static str, Value)> {
    let data = flags.data.as_ref().map(|path| path.display().to_string());
    let given = [
        ("http", "listen", "--listen", flags.listen.clone()),
        ("ops", "listen", "--ops-listen", flags.ops_listen.clone()),
        ("store", "folder", "--data", data),
    ];
    let mut all: Vec<_> =
        given.into_iter().filter_map(|(section, key, flag, value)| Some((section, key, flag, Value::String(value?)))).collect();
    if matches!(purpose, Purpose::Folder) {
        all.push(("ops", "listen", "--data", Value::from("127.0.0.1:0")));
        all.push(("ops", "token_file", "--data", Value::from("")));
        all.push(("auth", "issuers", "--data", Value::Array(Vec::new())));
    }
    all
}

#[cfg(test)]
mod tests;
