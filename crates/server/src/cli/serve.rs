//! `bellwire serve`

use std::io::IsTerminal;
use std::process::ExitCode;

use clock::Clock;
use rustix::thread::disable_transparent_huge_pages;
use server::app::App;
use server::config::{Config, LogFormat};
#[cfg(feature = "otlp")]
use server::telemetry::{Spans, Unstarted};
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tracing::Subscriber;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, registry};

use super::{EX_CONFIG, fail};

pub(super) fn run(config: Config) -> ExitCode {
    let filter = match EnvFilter::try_new(&config.log_filter) {
        Ok(filter) => filter,
        Err(error) => {
            eprintln!("bellwire: log.filter: {error}");
            return ExitCode::from(EX_CONFIG);
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    match Telling::start(&config, filter, runtime.handle()) {
        Ok(telling) => {
            let code = runtime.block_on(serve(config));
            telling.finish();
            code
        }
        Err(error) => fail(&error),
    }
}

/// What goes out beside the answers: log lines, and spans where somebody takes them.
struct Telling {
    #[cfg(feature = "otlp")]
    spans: Option<Spans>,
}

impl Telling {
    #[cfg(feature = "otlp")]
    fn start(config: &Config, filter: EnvFilter, runtime: &Handle) -> Result<Self, Unstarted> {
        let spans = config.telemetry.as_ref().map(|telemetry| Spans::start(telemetry, runtime)).transpose()?;
        match &spans {
            Some(spans) => registry().with(log_lines(config).with_filter(filter)).with(spans.layer()).init(),
            None => registry().with(filter).with(log_lines(config)).init(),
        }
        Ok(Self { spans })
    }

    #[cfg(not(feature = "otlp"))]
    fn start(config: &Config, filter: EnvFilter, _: &Handle) -> Result<Self, std::convert::Infallible> {
        registry().with(filter).with(log_lines(config)).init();
        Ok(Self {})
    }

    fn finish(self) {
        #[cfg(feature = "otlp")]
        self.spans.into_iter().for_each(Spans::finish);
    }
}

fn log_lines<S: Subscriber + for<'a> LookupSpan<'a>>(config: &Config) -> Box<dyn Layer<S> + Send + Sync> {
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    match config.log_format {
        LogFormat::Human => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    }
}

async fn serve(config: Config) -> ExitCode {
    take_small_pages();
    if config.dev {
        tracing::warn!("DEVELOPMENT MODE, NOT FOR PRODUCTION: whoever knows the development secret can say and hear everything");
    }
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    let (Ok(mut terminate), Ok(mut interrupt)) = signals else {
        eprintln!("bellwire: cannot listen for signals");
        return ExitCode::FAILURE;
    };
    let app = match App::bind(config, Clock::system()).await {
        Ok(app) => app,
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "not started");
            return fail(&error);
        }
    };
    match app.addresses() {
        Ok((api, operators)) => tracing::info!(%api, %operators, version = env!("CARGO_PKG_VERSION"), "listening"),
        Err(error) => return fail(&error),
    }
    let mut next_signal = async move || {
        // Cancel safety: a signal that came is kept by the stream.
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    };
    let (asked, shutdown) = tokio::sync::oneshot::channel::<()>();
    let ask = async {
        next_signal().await;
        drop(asked);
        next_signal().await;
        tracing::warn!("second signal: ended at once");
        std::process::exit(1);
    };
    tokio::select! {
        ended = app.run(async { drop(shutdown.await) }) => match ended {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error),
        },
        () = ask => ExitCode::FAILURE,
    }
}

/// Has the kernel give memory in small pages: it zeroes a huge one in one go, which takes milliseconds, while a call waits.
fn take_small_pages() {
    if let Err(error) = disable_transparent_huge_pages(true) {
        tracing::warn!(%error, "memory comes in huge pages: now and then an event is late by milliseconds");
    }
}
