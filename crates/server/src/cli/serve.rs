//! `bellwire serve`

use std::io::IsTerminal;
use std::process::ExitCode;

use clock::Clock;
use server::app::App;
use server::config::{Config, LogFormat};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::{EX_CONFIG, fail};

pub(super) fn run(config: Config) -> ExitCode {
    let filter = match EnvFilter::try_new(&config.log_filter) {
        Ok(filter) => filter,
        Err(error) => {
            eprintln!("bellwire: log.filter: {error}");
            return ExitCode::from(EX_CONFIG);
        }
    };
    let colours = std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    match config.log_format {
        LogFormat::Human => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(serve(config)),
        Err(error) => fail(&error),
    }
}

async fn serve(config: Config) -> ExitCode {
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
