use prometheus_client::registry::Registry;

use super::*;
use crate::testing::of_bytes;

fn item(bytes: usize) -> Item {
    Item::Event(of_bytes(bytes))
}

fn queue() -> Queue {
    Queue::new(Arc::new(Total::new(Metrics::register(&mut Registry::default()))))
}

#[tokio::test]
async fn sixty_four_events_wait_and_one_more_closes_the_session_as_slow() {
    let (queue, config) = (queue(), Config::default());
    for _ in 0..64 {
        assert!(queue.put(item(1), &config));
    }
    assert_eq!((queue.total.metrics.waiting.get(), queue.total.bytes()), (64, 64));
    assert!(!queue.put(item(1), &config));
    assert!(!queue.put(item(1), &config));
    assert_eq!((queue.total.metrics.waiting.get(), queue.total.bytes()), (0, 0));
    assert_eq!(queue.abandoned().await, CloseCode::Slow);
    assert!(matches!(queue.next().await, Outgoing::Close(CloseCode::Slow)));
}

#[tokio::test]
async fn sixty_four_kibibytes_wait_and_one_byte_more_closes_the_session_as_slow() {
    let (queue, config) = (queue(), Config::default());
    assert!(queue.put(item(64 * 1024 - 1), &config));
    assert!(queue.put(item(1), &config));
    assert!(!queue.put(item(1), &config));
}

#[tokio::test]
async fn what_is_queued_comes_before_a_close_and_the_first_reason_stands() {
    let queue = queue();
    queue.put(item(1), &Config::default());
    queue.check();
    queue.close(CloseCode::Restarting);
    queue.close(CloseCode::Slow);
    assert!(matches!(queue.next().await, Outgoing::Items(items) if items.len() == 1));
    assert!(matches!(queue.next().await, Outgoing::Close(CloseCode::Restarting)));
}

#[tokio::test]
async fn what_is_shed_or_dropped_is_not_counted_any_more() {
    let total = Arc::new(Total::new(Metrics::register(&mut Registry::default())));
    let (shed, dropped) = (Queue::new(total.clone()), Queue::new(total.clone()));
    shed.put(item(100), &Config::default());
    dropped.put(item(100), &Config::default());
    assert_eq!(total.bytes(), 200);
    shed.shed();
    assert!(matches!(shed.next().await, Outgoing::Close(CloseCode::Overloaded)));
    drop(dropped);
    assert_eq!((total.bytes(), total.metrics.waiting.get()), (0, 0));
}
