//! Connections that wait for their next request.

use std::future::pending;
use std::net::SocketAddr;
use std::time::Duration;

use outbound::error::OutboundError;
use outbound::exchange::Driver;
use outbound::pool::{Pool, PoolLimits, PooledConnection};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use crate::support::{begun, both, heard, listener, request};

const LIMITS: PoolLimits = PoolLimits { idle_max: Duration::from_secs(90), per_key_max: 2, in_all_max: 3 };
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// A connection that has carried a request, its driver, and its other end.
async fn used(listener: &TcpListener, key: &'static str) -> (PooledConnection<&'static str>, Driver, TcpStream) {
    let address = listener.local_addr().unwrap();
    let peer = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        heard(&mut stream).await;
        stream.write_all(ANSWER).await.unwrap();
        stream
    };
    let own = async {
        let (mut connection, mut driver) = begun(address).await;
        let exchanging = async {
            drop(connection.send(request(), pending()).await.unwrap());
            assert!(connection.ready().await);
        };
        driver.during(exchanging).await;
        (connection, driver)
    };
    let (stream, (connection, driver)) = both(peer, own).await;
    let mut kept = PooledConnection::new(connection, address.ip(), key);
    kept.used = true;
    (kept, driver, stream)
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[tokio::test]
async fn the_one_that_was_used_last_is_taken_by_its_key_while_it_is_fresh() {
    let ((listener, _), pool) = (listener().await, Pool::new(LIMITS));
    let (mut drivers, mut ends) = (Vec::new(), Vec::new());
    let mut locals = Vec::<SocketAddr>::new();
    for (key, at) in [("a", 0), ("a", 10), ("b", 10)] {
        let (kept, driver, end) = used(&listener, key).await;
        locals.push(end.peer_addr().unwrap());
        pool.put(kept, seconds(at));
        drivers.push(driver);
        ends.push(end);
    }
    assert!(pool.take(&"c", seconds(10), |_| true).is_none());
    let kept = pool.take(&"a", seconds(99), |_| true).unwrap();
    assert!(kept.used && kept.connection.is_ready());
    assert!(pool.take(&"a", seconds(90), |_| true).is_none(), "the other was idle for too long");
    pool.put(kept, seconds(99));
    assert!(pool.take(&"a", seconds(99), |_| false).is_none(), "its address is not allowed any more");
    assert!(pool.take(&"a", seconds(99), |_| true).is_none(), "it was dropped");
    pool.sweep(seconds(100));
    assert!(pool.take(&"b", seconds(99), |_| true).is_none(), "swept out");
}

#[tokio::test]
async fn no_more_are_kept_than_the_limits_say() {
    let ((listener, _), pool) = (listener().await, Pool::new(LIMITS));
    let (mut drivers, mut ends) = (Vec::new(), Vec::new());
    for key in ["a", "a", "a", "b", "c"] {
        let (kept, driver, end) = used(&listener, key).await;
        pool.put(kept, seconds(0));
        drivers.push(driver);
        ends.push(end);
    }
    let kept = ["a", "a", "a", "b", "c"].map(|key| pool.take(&key, seconds(0), |_| true).is_some());
    assert_eq!(kept, [true, true, false, true, false]);
}

#[tokio::test]
async fn one_that_has_ended_is_not_taken_and_gives_its_request_back() {
    let ((listener, _), pool) = (listener().await, Pool::new(LIMITS));
    let (mut kept, driver, end) = used(&listener, "a").await;
    drop(end);
    driver.await;
    assert!(kept.connection.is_closed());
    let error = kept.connection.send(request(), pending()).await.unwrap_err();
    let OutboundError::Unsent { request: unsent, .. } = error else { panic!("{error:?}") };
    assert_eq!(unsent.uri(), "/hooks");
    pool.put(kept, seconds(0));
    assert!(pool.take(&"a", seconds(0), |_| true).is_none());
}
