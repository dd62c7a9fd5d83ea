//! The table of values → [`Config`], a line each: its place in the program, its key and how it is read. The value that holds where
//! nobody says otherwise stands in the reference, `deploy/bellwire.default.toml`.

use std::ops::RangeInclusive;
use std::time::Duration;

use sessions::config::{LifeConfig, RingConfig};
use toml::Value;

use super::reader::Reader;
use super::values::{
    bytes, count, count_or_auto, duration, kernel_bytes, limit, optional_path, optional_secret, parsed, parsed_list, ports,
    positive, positive_rows, products, small, text, texts,
};
use super::{Config, Limits, LogFormat, Purpose, Rate, issuers, listeners, telemetry};

/// Shorter ones would be a burden to a provider, longer ones would leave keys good for long that it has withdrawn.
const KEYS_INTERVALS: RangeInclusive<Duration> = Duration::from_secs(30)..=Duration::from_mins(30);

/// Reads every key. What is wrong is noted by the reader; with a fault, what is returned must not be used.
pub(super) fn config(reader: &mut Reader, purpose: Purpose) -> Config {
    let dev = matches!(purpose, Purpose::Develop(_));
    let config = Config {
        dev,
        products: reader.get("products", products),
        listen: reader.get("http.listen", parsed),
        cors_origins: reader.get("http.cors_origins", texts),
        tls: listeners::tls(reader, "http"),
        proxies: listeners::proxies(reader),
        ops_listen: reader.get("ops.listen", parsed),
        ops_tls: listeners::tls(reader, "ops"),
        ops_token: reader.get("ops.token_file", optional_secret),
        issuers: issuers::issuers(reader, purpose),
        tokens_max: reader.get("auth.tokens_max", count),
        keys_interval: reader.get("auth.keys_interval", keys_interval),
        issuers_ca_file: reader.get("auth.ca_file", optional_path),
        folder: reader.get("store.folder", text).into(),
        store: store(reader),
        sessions: sessions(reader),
        webhooks: webhooks(reader, dev),
        key_file: reader.get("webhooks.key_file", optional_path),
        send_buffer: reader.get("sessions.send_buffer", kernel_bytes),
        limits: limits(reader),
        shutdown_grace: reader.get("shutdown.grace", duration),
        shutdown_window: reader.get("shutdown.window_max", duration),
        telemetry: telemetry::telemetry(reader),
        log_format: reader.get("log.format", log_format),
        log_filter: reader.get("log.filter", log_filter),
    };
    listeners::check(reader, &config);
    config
}

fn store(reader: &mut Reader) -> store::Config {
    store::Config {
        keep_age: reader.get("store.keep_age", limit),
        keep_count: reader.get("store.keep_count", small),
        queue_max: reader.get("store.queue_max", positive),
        readers: reader.get("store.readers", positive),
        timeout: reader.get("store.timeout", duration),
    }
}

fn sessions(reader: &mut Reader) -> sessions::config::Config {
    sessions::config::Config {
        queue_events_max: reader.get("sessions.queue_events_max", positive),
        queue_bytes_max: reader.get("sessions.queue_bytes_max", bytes),
        queues_bytes_max: reader.get("sessions.queues_bytes_max", bytes),
        sessions_per_negotiator_max: reader.get("sessions.per_negotiator_max", positive),
        receipts_max: reader.get("sessions.receipts_max", count),
        ring: RingConfig {
            age_max: reader.get("sessions.resume_age", duration),
            events_max: reader.get("sessions.resume_events_max", positive),
            bytes_max: reader.get("sessions.resume_bytes_max", bytes),
        },
        life: LifeConfig {
            ping_interval: reader.get("sessions.ping_interval", duration),
            pong_timeout: reader.get("sessions.pong_timeout", duration),
            ack_timeout: reader.get("sessions.ack_timeout", duration),
        },
        write_timeout: reader.get("sessions.write_timeout", duration),
        close_timeout: reader.get("sessions.close_timeout", duration),
    }
}

fn webhooks(reader: &mut Reader, dev: bool) -> webhooks::engine::Config {
    webhooks::engine::Config {
        limits: webhooks::schedule::SendLimits {
            in_flight_max: reader.get("webhooks.in_flight_max", positive),
            per_endpoint_max: reader.get("webhooks.per_endpoint_max", positive),
            per_host_max: reader.get("webhooks.per_host_max", positive),
            window_bytes_max: reader.get("webhooks.window_bytes_max", bytes),
        },
        sender: webhooks::sender::Config {
            name_servers: reader.get("webhooks.name_servers", parsed_list),
            ca_file: reader.get("webhooks.ca_file", optional_path),
        },
        egress_allow: reader.get("webhooks.egress_allow", parsed_list),
        ports: reader.get("webhooks.ports", ports),
        dev,
        keep_age: reader.get("webhooks.keep_age", limit),
        queue_max: reader.get("webhooks.queue_max", positive_rows),
        subscriptions_max: (
            reader.get("webhooks.subscriptions_per_application_max", positive),
            reader.get("webhooks.subscriptions_max", positive),
        ),
    }
}

fn limits(reader: &mut Reader) -> Limits {
    Limits {
        requests: rate(reader, "limits.requests_per_second", "limits.requests_burst"),
        polls: rate(reader, "limits.polls_per_second", "limits.polls_burst"),
        strangers: rate(reader, "limits.strangers_per_second", "limits.strangers_burst"),
        callbacks: rate(reader, "limits.callbacks_per_second", "limits.callbacks_burst"),
        sessions: steady_rate(reader, "limits.sessions_per_second"),
        new_tokens: steady_rate(reader, "limits.new_tokens_per_second"),
        traces: steady_rate(reader, "limits.traces_per_second"),
        connections: reader.get("limits.connections", count_or_auto),
        head_timeout: reader.get("limits.head_timeout", limit),
        body_timeout: reader.get("limits.body_timeout", limit),
        idle_timeout: reader.get("limits.idle_timeout", limit),
        idempotency_keys: reader.get("limits.idempotency_keys", count),
    }
}

fn rate(reader: &mut Reader, per_second: &str, burst: &str) -> Rate {
    Rate { per_second: reader.get(per_second, small), burst: reader.get(burst, small).max(1) }
}

/// As many at the same instant as in a second.
fn steady_rate(reader: &mut Reader, per_second: &str) -> Rate {
    let per_second = reader.get(per_second, small);
    Rate { per_second, burst: per_second.max(1) }
}

fn keys_interval(value: &Value) -> Result<Duration, String> {
    let interval = duration(value)?;
    if KEYS_INTERVALS.contains(&interval) { Ok(interval) } else { Err(format!("must be from \"30s\" to \"30m\", got {value}")) }
}

fn log_format(value: &Value) -> Result<LogFormat, String> {
    match text(value)?.as_str() {
        "human" => Ok(LogFormat::Human),
        "json" => Ok(LogFormat::Json),
        other => Err(format!("must be \"human\" or \"json\", got {other:?}")),
    }
}

/// What is logged, as `tracing` reads it.
fn log_filter(value: &Value) -> Result<String, String> {
    let filter = text(value)?;
    tracing_subscriber::EnvFilter::try_new(&filter).map_err(|error| format!("{error}, got {filter:?}"))?;
    Ok(filter)
}
