use std::future::poll_fn;

use prometheus_client::metrics::gauge::Gauge;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::coop::poll_proceed;

use super::*;
use crate::slots::Slots;

const PATIENCE: Duration = Duration::from_secs(10);

/// A stream with its other end.
async fn stream() -> (Stream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let slot = Slots::new(1, Gauge::default()).take().unwrap();
    let (socket, _) = listener.accept().await.unwrap();
    (Stream::new(socket, None, Phase::Head, slot), client)
}

/// Writes until the socket takes no more; gives how much it took.
fn fill(stream: &mut Stream, cx: &mut Context<'_>) -> usize {
    let mut taken = 0;
    while let Poll::Ready(written) = Pin::new(&mut *stream).poll_write(cx, &[7; 4096]) {
        taken += written.unwrap();
    }
    taken
}

#[tokio::test]
async fn a_socket_with_room_takes_what_is_written_though_the_task_has_used_up_its_turn() {
    let (mut stream, mut client) = stream().await;
    let written = poll_fn(|cx| {
        while let Poll::Ready(unit) = poll_proceed(cx) {
            unit.made_progress();
        }
        Poll::Ready(Pin::new(&mut stream).poll_write(cx, b"hello"))
    });
    assert!(matches!(written.await, Poll::Ready(Ok(5))));
    let mut heard = [0; 5];
    timeout(PATIENCE, client.read_exact(&mut heard)).await.unwrap().unwrap();
    assert_eq!(&heard, b"hello");
}

#[tokio::test]
async fn who_writes_to_a_full_socket_is_woken_when_it_has_room_again() {
    let (mut stream, mut client) = stream().await;
    let mut taken = poll_fn(|cx| Poll::Ready(fill(&mut stream, cx))).await;
    let (mut heard, mut buffer) = (0, vec![0; 64 * 1024]);
    let more = poll_fn(|cx| {
        let more = fill(&mut stream, cx);
        if more > 0 { Poll::Ready(more) } else { Poll::Pending }
    });
    let reading = async {
        while heard < taken {
            heard += client.read(&mut buffer).await.unwrap();
        }
    };
    let (more, ()) = timeout(PATIENCE, async { tokio::join!(more, reading) }).await.unwrap();
    taken += more;
    while heard < taken {
        heard += timeout(PATIENCE, client.read(&mut buffer)).await.unwrap().unwrap();
    }
    assert_eq!(heard, taken);
}
