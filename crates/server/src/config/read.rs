//! The table of values → [`Config`], section by section.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sessions::config::{LifeConfig, RingConfig};
use toml::Value;

use super::issuers::read_issuers;
use super::reader::{self, Reader};
use super::telemetry;
use super::{Config, DEV_ISSUER, Issuer, Keys, Limits, LogFormat, Purpose, Rate, Secret, door};

/// Shorter ones would be a burden to a provider, longer ones would leave keys good for long that it has withdrawn.
const KEYS_INTERVALS: RangeInclusive<Duration> = Duration::from_secs(30)..=Duration::from_mins(30);
/// RFC 7518 §3.2: a key at least as long as the hash.
const SECRET_BYTES_MIN: usize = 32;

/// Reads every key; `None` where one is faulty, which the reader then knows.
pub(super) fn config(reader: &mut Reader, purpose: Purpose) -> Option<Config> {
    let dev = matches!(purpose, Purpose::Develop(_));
    let products = reader.get("products", reader::products);
    let (listeners, proxies) = (door::listeners(reader, dev), door::proxies(reader));
    let mut issuers = read_issuers(reader);
    match (purpose, &mut issuers) {
        (Purpose::Develop(secret), Some(issuers)) => {
            issuers.push(Issuer { name: DEV_ISSUER.to_owned(), audience: None, keys: Keys::Secret(secret) });
        }
        (Purpose::Serve, Some(issuers)) if issuers.is_empty() && reader.issuers_given() == 0 => reader
            .fault("auth.issuers", "names nobody, so no token is good; add an issuer, or start with --dev to try things out"),
        _ => {}
    }
    let cors_origins = reader.get("http.cors_origins", reader::strings);
    let (tokens_max, folder) = (reader.get("auth.tokens_max", reader::count), reader.get("store.folder", reader::text));
    let keys_interval = reader.get("auth.keys_interval", read_keys_interval);
    let issuers_ca_file = reader.get("auth.ca_file", optional_path);
    let (store, sessions, webhooks) = (read_store(reader), read_sessions(reader), read_webhooks(reader, dev));
    let key_file = reader.get("webhooks.key_file", optional_path);
    let send_buffer = reader.get("sessions.send_buffer", reader::bytes);
    let limits = read_limits(reader);
    let shutdown_grace = reader.get("shutdown.grace", reader::duration);
    let shutdown_window = reader.get("shutdown.window_max", reader::duration);
    let log_format = reader.get("log.format", read_log_format);
    let log_filter = reader.get("log.filter", read_log_filter);
    let telemetry = telemetry::telemetry(reader);
    let (listener, ops_listener, ops_token) = listeners?;
    Some(Config {
        dev,
        products: products?,
        listen: listener.address,
        tls: listener.tls,
        proxies: proxies?,
        cors_origins: cors_origins?,
        ops_listen: ops_listener.address,
        ops_tls: ops_listener.tls,
        ops_token,
        issuers: issuers?,
        tokens_max: tokens_max?,
        keys_interval: keys_interval?,
        issuers_ca_file: issuers_ca_file?,
        folder: PathBuf::from(folder?),
        store: store?,
        sessions: sessions?,
        webhooks: webhooks?,
        key_file: key_file?,
        send_buffer: u32::try_from(send_buffer?).unwrap_or(u32::MAX),
        limits: limits?,
        shutdown_grace: shutdown_grace?,
        shutdown_window: shutdown_window?,
        telemetry: telemetry?,
        log_format: log_format?,
        log_filter: log_filter?,
    })
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

fn read_sessions(reader: &mut Reader) -> Option<sessions::config::Config> {
    let queue_events_max = reader.get("sessions.queue_events_max", reader::positive);
    let queue_bytes_max = reader.get("sessions.queue_bytes_max", reader::bytes);
    let write_timeout = reader.get("sessions.write_timeout", reader::duration);
    let close_timeout = reader.get("sessions.close_timeout", reader::duration);
    let queues_bytes_max = reader.get("sessions.queues_bytes_max", reader::bytes);
    let receipts_max = reader.get("sessions.receipts_max", reader::count);
    let sessions_per_negotiator_max = reader.get("sessions.per_negotiator_max", reader::positive);
    let (ring, life) = (read_ring(reader), read_life(reader));
    Some(sessions::config::Config {
        queue_events_max: queue_events_max?,
        queue_bytes_max: queue_bytes_max?,
        queues_bytes_max: queues_bytes_max?,
        sessions_per_negotiator_max: sessions_per_negotiator_max?,
        receipts_max: receipts_max?,
        ring: ring?,
        life: life?,
        write_timeout: write_timeout?,
        close_timeout: close_timeout?,
    })
}

fn read_webhooks(reader: &mut Reader, dev: bool) -> Option<webhooks::engine::Config> {
    let in_flight_max = reader.get("webhooks.in_flight_max", reader::positive);
    let per_endpoint_max = reader.get("webhooks.per_endpoint_max", reader::positive);
    let per_host_max = reader.get("webhooks.per_host_max", reader::positive);
    let window_bytes_max = reader.get("webhooks.window_bytes_max", reader::bytes);
    let name_servers = reader.get("webhooks.name_servers", reader::parsed_list::<SocketAddr>);
    let ca_file = reader.get("webhooks.ca_file", optional_path);
    let egress_allow = reader.get("webhooks.egress_allow", reader::parsed_list::<ipnet::IpNet>);
    let ports = reader.get("webhooks.ports", reader::ports);
    let keep_age = reader.get("webhooks.keep_age", reader::limit);
    let queue_max = reader.get("webhooks.queue_max", reader::positive);
    let per_application = reader.get("webhooks.subscriptions_per_application_max", reader::positive);
    let in_all = reader.get("webhooks.subscriptions_max", reader::positive);
    let limits = webhooks::schedule::Limits {
        in_flight_max: in_flight_max?,
        per_endpoint_max: per_endpoint_max?,
        per_host_max: per_host_max?,
        window_bytes_max: window_bytes_max?,
    };
    Some(webhooks::engine::Config {
        limits,
        sender: webhooks::sender::Config { name_servers: name_servers?, ca_file: ca_file? },
        egress_allow: egress_allow?,
        ports: ports?,
        dev,
        keep_age: keep_age?,
        queue_max: i64::try_from(queue_max?).unwrap_or(i64::MAX),
        subscriptions_max: (per_application?, in_all?),
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
    let callbacks = rate("limits.callbacks_per_second", Some("limits.callbacks_burst"));
    let (sessions, new_tokens) = (rate("limits.sessions_per_second", None), rate("limits.new_tokens_per_second", None));
    let traces = rate("limits.traces_per_second", None);
    let connections = reader.get("limits.connections", reader::count_or_auto);
    let head_timeout = reader.get("limits.head_timeout", reader::limit);
    let body_timeout = reader.get("limits.body_timeout", reader::limit);
    let idle_timeout = reader.get("limits.idle_timeout", reader::limit);
    let idempotency_keys = reader.get("limits.idempotency_keys", reader::count);
    Some(Limits {
        requests: requests?,
        polls: polls?,
        strangers: strangers?,
        traces: traces?,
        callbacks: callbacks?,
        sessions: sessions?,
        new_tokens: new_tokens?,
        connections: connections?,
        head_timeout: head_timeout?,
        body_timeout: body_timeout?,
        idle_timeout: idle_timeout?,
        idempotency_keys: idempotency_keys?,
    })
}

fn read_keys_interval(value: &Value) -> Result<Duration, String> {
    let interval = reader::duration(value)?;
    if KEYS_INTERVALS.contains(&interval) { Ok(interval) } else { Err(format!("must be from \"30s\" to \"30m\", got {value}")) }
}

fn read_log_format(value: &Value) -> Result<LogFormat, String> {
    match reader::text(value)?.as_str() {
        "human" => Ok(LogFormat::Human),
        "json" => Ok(LogFormat::Json),
        other => Err(format!("must be \"human\" or \"json\", got {other:?}")),
    }
}

/// What is logged, as `tracing` reads it.
fn read_log_filter(value: &Value) -> Result<String, String> {
    let filter = reader::text(value)?;
    tracing_subscriber::EnvFilter::try_new(&filter).map_err(|error| format!("{error}, got {filter:?}"))?;
    Ok(filter)
}

pub(super) fn optional_path(value: &Value) -> Result<Option<PathBuf>, String> {
    Ok(Some(reader::text(value)?).filter(|path| !path.is_empty()).map(PathBuf::from))
}

pub(super) fn optional_secret(value: &Value) -> Result<Option<Secret>, String> {
    match reader::text(value)?.as_str() {
        "" => Ok(None),
        path => read_secret(Path::new(path)).map(Some),
    }
}

pub(super) fn read_secret(path: &Path) -> Result<Secret, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.len() < SECRET_BYTES_MIN {
        return Err(format!("{}: holds {} bytes, a secret needs at least {SECRET_BYTES_MIN}", path.display(), secret.len()));
    }
    Ok(Secret::from(secret))
}
