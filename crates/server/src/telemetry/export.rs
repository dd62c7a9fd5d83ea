//! The way to the endpoint: spans, in batches as they end.

use std::sync::Arc;
use std::time::Duration;

use client::address::{Address, AddressError};
use hyper::header::HeaderName;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{SpanContext, TraceContextExt, TraceFlags, TraceState, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider};
use tokio::runtime::Handle;
use tracing::{Level, Metadata, Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use super::transport::Transport;
use crate::config::Telemetry;
use crate::net::headers::{Headers, text};
use crate::node::Node;

/// The spans that are told; whatever else is logged stays here.
const SPANS: [&str; 3] = ["request", "session", "attempt"];
const SERVICE: &str = "bellwire";
/// Whose they are: a library may have spans of these names too.
const TARGETS: [&str; 2] = ["server", "webhooks"];
/// How many spans can wait, and how many go at once.
const SPANS_WAITING_MAX: usize = 2048;
const SPANS_AT_ONCE: usize = 512;
const SPANS_INTERVAL: Duration = Duration::from_secs(5);
/// How long the last spans have at the end.
const LAST_SPANS: Duration = Duration::from_secs(2);

/// What sends spans, until it is dropped.
#[derive(Debug)]
pub struct Spans(SdkTracerProvider);

/// Why no telemetry is sent.
#[derive(Debug, thiserror::Error)]
pub enum Unstarted {
    /// The endpoint cannot be meant.
    #[error("telemetry.otlp_endpoint {0}")]
    Endpoint(AddressError),
    /// The library refuses.
    #[error("telemetry cannot be set up")]
    Setup(#[from] ExporterBuildError),
}

impl Spans {
    /// Prepares what sends spans on `runtime`.
    ///
    /// # Errors
    /// [`Unstarted`].
    pub fn start(telemetry: &Telemetry, runtime: &Handle) -> Result<Self, Unstarted> {
        let address = Address::parse(&telemetry.otlp_endpoint, telemetry.ca_file.as_deref()).map_err(Unstarted::Endpoint)?;
        let transport = Transport { address, runtime: runtime.clone(), is_failing: Arc::default() };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(transport)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{}/v1/traces", telemetry.otlp_endpoint.trim_end_matches('/')))
            .build()?;
        let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(telemetry.trace_ratio)));
        let resource = Resource::builder_empty().with_attributes(identity(&telemetry.instance)).build();
        // All of it is said, so that the environment says nothing.
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(SPANS_WAITING_MAX)
            .with_max_export_batch_size(SPANS_AT_ONCE)
            .with_scheduled_delay(SPANS_INTERVAL)
            .build();
        let sending = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
        let provider = SdkTracerProvider::builder().with_span_processor(sending).with_sampler(sampler).with_resource(resource);
        Ok(Self(provider.build()))
    }

    /// What makes spans of ours into spans of theirs.
    #[must_use]
    pub fn layer<S: Subscriber + for<'a> LookupSpan<'a>>(&self) -> impl Layer<S> + use<S> {
        let layer = tracing_opentelemetry::layer().with_tracer(self.0.tracer(SERVICE));
        let layer = layer.with_location(false).with_threads(false).with_tracked_inactivity(false);
        layer.with_filter(filter_fn(is_told))
    }

    /// Sends what is left. It blocks.
    pub fn finish(self) {
        if let Err(error) = self.0.shutdown_with_timeout(LAST_SPANS) {
            tracing::debug!(%error, "the last spans were not sent");
        }
    }
}

/// Who says it.
fn identity(instance: &str) -> [KeyValue; 3] {
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    [KeyValue::new("service.name", SERVICE), version, KeyValue::new("service.instance.id", instance.to_owned())]
}

fn is_told(of: &Metadata<'_>) -> bool {
    let is_ours = of.target().split("::").next().is_some_and(|of_crate| TARGETS.contains(&of_crate));
    of.is_span() && is_ours && SPANS.contains(&of.name()) && *of.level() <= Level::DEBUG
}

/// Continues the trace that a caller names; a header that names none begins one. Anybody can ask for a trace to be told: beyond the
/// limit it is not.
pub(super) fn adopt(node: &Node, span: &Span, headers: Headers<'_>) {
    let caller = TraceContextPropagator::new().extract_with_context(&Context::new(), &Carrier(headers));
    let named = caller.span().span_context().clone();
    if !named.is_valid() {
        return;
    }
    let is_told = named.is_sampled() && node.limits.traces.admit((), node.clock.running()).is_ok();
    let flags = if is_told { TraceFlags::SAMPLED } else { TraceFlags::default() };
    let named = SpanContext::new(named.trace_id(), named.span_id(), flags, true, TraceState::default());
    if let Err(error) = span.set_parent(Context::new().with_remote_span_context(named)) {
        tracing::debug!(%error, "a trace is not continued");
    }
}

/// Headers, as OpenTelemetry asks for them.
struct Carrier<'a>(Headers<'a>);

impl Extractor for Carrier<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        HeaderName::from_bytes(key.as_bytes()).ok().and_then(|name| self.0.first(&name)).and_then(text)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.names()
    }
}

/// The id of the trace that is recorded now.
pub(super) fn recorded_trace() -> Option<String> {
    let context = Span::current().context();
    let span = context.span();
    span.span_context().is_sampled().then(|| span.span_context().trace_id().to_string())
}
