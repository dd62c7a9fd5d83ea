//! Several addresses, and addresses that do not answer.

use std::future::pending;
use std::io::ErrorKind;

use outbound::dial::{dial, resolve};
use outbound::error::{ExchangeStage, OutboundError};
use outbound::stream::{Destination, Stream};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use crate::support::{SHORT, both, listener, refusing};

/// A listener whose queue is full, so that the kernel answers nobody.
async fn full() -> (TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let mut queued = Vec::new();
    while let Ok(stream) = timeout(SHORT, TcpStream::connect(listener.local_addr().unwrap())).await {
        queued.push(stream.unwrap());
    }
    (listener, queued)
}

#[tokio::test]
async fn the_first_address_that_takes_the_connection_is_the_one() {
    let ((first, address), (_second, behind)) = (listener().await, listener().await);
    let dialling = dial([refusing().await, address, behind], pending::<()>, pending());
    let (accepted, (mut stream, peer)) = {
        let (accepted, dialled) = both(first.accept(), dialling).await;
        (accepted.unwrap(), dialled.unwrap())
    };
    assert_eq!((peer, accepted.1), (address, stream.local_addr().unwrap()));
    assert!(stream.nodelay().unwrap());
    stream.shutdown().await.unwrap();
}

#[tokio::test]
async fn where_all_refuse_the_last_is_named() {
    let last = refusing().await;
    let error = dial([refusing().await, last], pending::<()>, pending()).await.unwrap_err();
    let OutboundError::Connect { address, source } = error else { panic!("{error:?}") };
    assert_eq!((address, source.kind()), (last, ErrorKind::ConnectionRefused));
    let none = dial([], pending::<()>, pending()).await.unwrap_err();
    assert!(matches!(none, OutboundError::NoAddress), "{none:?}");
}

#[tokio::test]
async fn an_address_that_hangs_leaves_time_for_the_next() {
    let ((hanging, _queued), (_listener, address)) = (full().await, listener().await);
    let silent = hanging.local_addr().unwrap();
    let (_, peer) = dial([silent, address], || sleep(SHORT), pending()).await.unwrap();
    assert_eq!(peer, address);
    let error = dial([silent], || sleep(SHORT), pending()).await.unwrap_err();
    let OutboundError::Connect { address, source } = error else { panic!("{error:?}") };
    assert_eq!((address, source.kind()), (silent, ErrorKind::TimedOut));
}

#[tokio::test]
async fn all_addresses_together_have_a_limit() {
    let (hanging, _queued) = full().await;
    let error = dial([hanging.local_addr().unwrap(); 3], pending::<()>, sleep(SHORT)).await.unwrap_err();
    assert!(matches!(error, OutboundError::TimedOut(ExchangeStage::Connect)), "{error:?}");
}

#[tokio::test]
async fn names_are_resolved_by_the_system() {
    let addresses = resolve("localhost", 8080, pending()).await.unwrap();
    assert!(!addresses.is_empty() && addresses.iter().all(|at| at.ip().is_loopback() && at.port() == 8080), "{addresses:?}");
    assert_eq!(resolve("::1", 1, pending()).await.unwrap(), ["[::1]:1".parse().unwrap()]);
    // No name server is asked for a name with an empty label.
    let unknown = resolve("no..name", 1, pending()).await.unwrap_err();
    assert!(matches!(&unknown, OutboundError::Resolve { name, .. } if name == "no..name"), "{unknown:?}");
}

#[tokio::test]
async fn one_limit_holds_for_the_whole_way() {
    let (hanging, _queued) = full().await;
    let to = Destination { host: "127.0.0.1", port: hanging.local_addr().unwrap().port(), trust: None };
    let error = Stream::open(to, pending::<()>, sleep(SHORT)).await.unwrap_err();
    assert!(matches!(error, OutboundError::TimedOut(ExchangeStage::Connect)), "{error:?}");
}
