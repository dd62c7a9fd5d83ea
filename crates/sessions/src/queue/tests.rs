use prometheus_client::registry::Registry;
use protocol::id::EventId;

use super::*;

fn delivery(bytes: usize) -> Arc<Delivery> {
    let text = Utf8Bytes::from("x".repeat(bytes));
    let frame = EncodedFrame { id: EventId::new(1, [0; 10]), expires: None, text: text.clone().into() };
    Arc::new(Delivery { frame, text, taken: Instant::now() })
}

fn queue() -> Queue {
    Queue::new(Metrics::register(&mut Registry::default()))
}

#[tokio::test]
async fn sixty_four_events_wait_and_one_more_closes_the_session_as_slow() {
    let (queue, config) = (queue(), Config::default());
    for _ in 0..64 {
        assert!(queue.put(delivery(1), &config));
    }
    assert_eq!(queue.metrics.waiting.get(), 64);
    assert!(!queue.put(delivery(1), &config));
    assert!(!queue.put(delivery(1), &config));
    assert_eq!(queue.metrics.waiting.get(), 0);
    queue.overflow().await;
    assert!(matches!(queue.next().await, Outgoing::Close(CloseCode::Slow)));
}

#[tokio::test]
async fn sixty_four_kibibytes_wait_and_one_byte_more_closes_the_session_as_slow() {
    let (queue, config) = (queue(), Config::default());
    assert!(queue.put(delivery(64 * 1024 - 1), &config));
    assert!(queue.put(delivery(1), &config));
    assert!(!queue.put(delivery(1), &config));
}

#[tokio::test]
async fn what_is_queued_comes_before_a_close_and_the_first_reason_stands() {
    let queue = queue();
    queue.put(delivery(1), &Config::default());
    queue.close(CloseCode::Restarting);
    queue.close(CloseCode::Slow);
    assert!(matches!(queue.next().await, Outgoing::Deliveries(deliveries) if deliveries.len() == 1));
    assert!(matches!(queue.next().await, Outgoing::Close(CloseCode::Restarting)));
}
