use clock::Clock;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::coop::poll_proceed;

use super::*;
use crate::config::{Config, Flags};

/// A connection of which nothing comes, with its other end.
async fn silent(folder: &tempfile::TempDir) -> (Connection, TcpStream) {
    let flags = Flags { dev: true, data: Some(folder.path().to_owned()), ..Flags::default() };
    let mut config = Config::from_parts("", std::iter::empty(), &flags).unwrap();
    config.limits.head_timeout = Duration::from_millis(20);
    let node = Arc::new(Node::open(config, Clock::system(), None).await.unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (socket, peer) = listener.accept().await.unwrap();
    let slot = node.slots.take().unwrap();
    (Connection::new(Stream::new(socket, None, Phase::Head, slot), peer, Door::Api, node, CancellationToken::new()), client)
}

#[tokio::test]
async fn a_deadline_is_kept_though_requests_left_no_budget_for_the_first_look() {
    let folder = tempfile::tempdir().unwrap();
    let (connection, _client) = silent(&folder).await;
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
    let ended = timeout(Duration::from_secs(10), connection.drive(pin!(requests))).await;
    assert_eq!(ended, Ok(Some(Phase::Fresh)));
}

#[tokio::test]
async fn requests_are_woken_for_the_shutdown() {
    let folder = tempfile::tempdir().unwrap();
    let (mut connection, _client) = silent(&folder).await;
    connection.stream.enter(Phase::Busy);
    let stop = CancellationToken::new();
    connection.stop = stop.clone();
    let mut until_stopped = pin!(poll_fn(|_| if connection.is_stopping() { Poll::Ready(()) } else { Poll::Pending }));
    let driven = timeout(Duration::from_secs(10), connection.drive(until_stopped.as_mut()));
    let (ended, ()) = tokio::join!(driven, async {
        tokio::task::yield_now().await;
        stop.cancel();
    });
    assert_eq!(ended, Ok(None));
}
