use std::future::poll_fn;

use prometheus_client::metrics::gauge::Gauge;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::coop::poll_proceed;
use tokio::time::timeout;

use super::*;
use crate::config::{Config, Flags};
use crate::slots::Slots;

/// A stream of which nothing comes, with its other end.
async fn silent() -> (Stream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (socket, _) = listener.accept().await.unwrap();
    (Stream::new(socket, None, Phase::Head, Slots::new(1, Gauge::default()).take().unwrap()), client)
}

fn limits() -> Limits {
    let config = Config::from_parts("", std::iter::empty(), &Flags { dev: true, ..Flags::default() }).unwrap();
    Limits { head_timeout: Duration::from_millis(20), ..config.limits }
}

#[tokio::test]
async fn a_deadline_is_kept_though_requests_left_no_budget_for_the_first_look() {
    let ((stream, _client), limits, stop) = (silent().await, limits(), CancellationToken::new());
    let mut has_spent = false;
    let requests = poll_fn(|cx| {
        while !has_spent {
            match poll_proceed(cx) {
                Poll::Ready(unit) => unit.made_progress(),
                Poll::Pending => has_spent = true,
            }
        }
        Poll::Pending
    });
    let watched = Watched { stream: &stream, limits: &limits, stop: &stop };
    let ended = timeout(Duration::from_secs(10), watched.drive(pin!(requests))).await;
    assert_eq!(ended, Ok(Some(Phase::Fresh)));
}

#[tokio::test]
async fn requests_are_woken_for_the_shutdown() {
    let ((stream, _client), limits, stop) = (silent().await, limits(), CancellationToken::new());
    stream.enter(Phase::Busy);
    let watched = Watched { stream: &stream, limits: &limits, stop: &stop };
    let mut until_stopped = pin!(poll_fn(|_| if stop.is_cancelled() { Poll::Ready(()) } else { Poll::Pending }));
    let driven = timeout(Duration::from_secs(10), watched.drive(until_stopped.as_mut()));
    let (ended, ()) = tokio::join!(driven, async {
        tokio::task::yield_now().await;
        stop.cancel();
    });
    assert_eq!(ended, Ok(None));
}
