use tokio::task::{JoinSet, yield_now};

use super::*;
use crate::outbox::backlog::FRAMES_AT_ONCE;
use crate::outbox::gather::{TOGETHER_MAX, flush_many, gather, yield_to_ready};

/// Has this thread gather.
async fn gathering() -> JoinSet<()> {
    let mut task = JoinSet::new();
    task.spawn(gather());
    yield_now().await;
    task
}

/// Something else has come at this moment already.
fn is_busy() {
    assert!(open(usize::MAX).0.put(item(1)));
}

/// The session's task waits for something to do.
fn waiting(outbox: &Outbox) -> (Arc<Woken>, Waker) {
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    assert_eq!(outbox.poll_next(&mut TaskContext::from_waker(&waker)), Poll::Pending);
    (woken, waker)
}

fn calls(socket: &Socket) -> usize {
    socket.0.lock().unwrap().calls
}

#[tokio::test]
async fn what_comes_together_is_written_together() {
    let (outbox, socket) = open(usize::MAX);
    let _gathering = gathering().await;
    assert!(outbox.put(item(50)));
    assert_eq!((socket.taken(), calls(&socket)), (item(50).wire().to_vec(), 1), "at once: it may be the only one");
    let items = [item(100), item(200), item(300)];
    assert!(items.iter().all(|item| outbox.put(item.clone())));
    assert_eq!(calls(&socket), 1, "nothing more before the thread is done with the rest");
    assert_eq!(outbox.context.waiting_bytes(), outbox.bytes());
    yield_now().await;
    let wire: Vec<u8> = [item(50)].iter().chain(&items).flat_map(|item| item.wire().to_vec()).collect();
    assert_eq!((socket.taken(), calls(&socket)), (wire, 2));
    assert_eq!((outbox.bytes(), outbox.context.waiting_bytes(), next(&outbox)), (0, 0, None));
    assert!(outbox.put(item(100)) && outbox.put(item(100)));
    assert_eq!(calls(&socket), 3, "and so on");
    yield_now().await;
    assert_eq!(calls(&socket), 4);
}

#[tokio::test]
async fn what_fits_no_write_is_written_before() {
    let (outbox, socket) = open(usize::MAX);
    let _gathering = gathering().await;
    is_busy();
    assert!((0..FRAMES_AT_ONCE).all(|_| outbox.put(item(10))));
    assert_eq!(calls(&socket), 0);
    assert!(outbox.put(item(10)));
    assert_eq!(calls(&socket), 1);
    let (outbox, socket) = open(usize::MAX);
    assert!(outbox.put(item(40_000)) && outbox.put(item(40_000)), "a socket that takes it has room");
    assert_eq!(calls(&socket), 1);
    yield_now().await;
    assert_eq!((calls(&socket), outbox.bytes()), (2, 0));
}

#[tokio::test]
async fn what_is_gathered_for_many_is_written_before_the_rest_is_ready() {
    let _gathering = gathering().await;
    is_busy();
    let lines: Vec<_> = (0..TOGETHER_MAX).map(|_| open(usize::MAX)).collect();
    let (last, others) = lines.split_last().unwrap();
    assert!(others.iter().all(|(outbox, _)| outbox.put(item(10))));
    flush_many();
    assert!(others.iter().all(|(_, socket)| calls(socket) == 0));
    assert!(last.0.put(item(10)));
    flush_many();
    assert!(lines.iter().all(|(outbox, socket)| (calls(socket), outbox.bytes()) == (1, 0)));
    assert!(last.0.put(item(20)));
    yield_now().await;
    assert_eq!(calls(&last.1), 2, "and goes on");
}

#[tokio::test]
async fn who_reads_nothing_is_slow_here_as_well() {
    let (outbox, socket) = open(150);
    let _gathering = gathering().await;
    is_busy();
    let put = (0..200).filter(|_| outbox.put(item(98))).count();
    assert_eq!(put, Config::default().queue_events_max + 1, "one is out, and half of another");
    assert_eq!(next(&outbox), Some(Todo::Write));
    yield_now().await;
    assert_eq!(socket.taken().len(), 150);
}

#[tokio::test]
async fn what_the_socket_does_not_take_is_left_to_the_task() {
    let (outbox, socket) = open(150);
    let _gathering = gathering().await;
    let (woken, waker) = waiting(&outbox);
    is_busy();
    assert!(outbox.put(item(98)) && outbox.put(item(98)));
    assert!(!woken.0.load(Ordering::Relaxed), "not before it is known to be needed");
    yield_now().await;
    assert!(woken.0.load(Ordering::Relaxed));
    socket.make_room(usize::MAX);
    assert_eq!(outbox.poll_write(&mut TaskContext::from_waker(&waker)).map(Result::unwrap), Poll::Ready(Progress::All));
    assert_eq!(socket.taken(), [item(98).wire().to_vec(), item(98).wire().to_vec()].concat());
}

#[tokio::test]
async fn of_the_first_what_the_socket_does_not_take_is_left_to_the_task_at_once() {
    let (outbox, socket) = open(50);
    let _gathering = gathering().await;
    let (woken, waker) = waiting(&outbox);
    assert!(outbox.put(item(98)) && outbox.put(item(97)));
    assert!(woken.0.load(Ordering::Relaxed));
    assert_eq!(socket.taken().len(), 50);
    socket.make_room(usize::MAX);
    assert_eq!(outbox.poll_write(&mut TaskContext::from_waker(&waker)).map(Result::unwrap), Poll::Ready(Progress::All));
    assert_eq!(socket.taken(), [item(98).wire().to_vec(), item(97).wire().to_vec()].concat());
}

#[test]
fn what_goes_before_the_first_frame_is_not_dropped() {
    let (outbox, socket) = (outbox(), Socket::with_room(usize::MAX));
    assert_eq!((0..200).filter(|_| outbox.put(item(9))).count(), Config::default().queue_events_max, "slow before it is open");
    outbox.open(Arc::new(socket.clone()), [Item::Head(Box::new(Bytes::from_static(b"101"))), Item::frame(word("welcome"))]);
    assert_eq!(poll_fn(|cx| outbox.poll_write(cx)).now_or_never().unwrap().unwrap(), Progress::Abandoned(CloseCode::Slow));
    outbox.end(close_frame(CloseCode::Slow));
    assert_eq!(poll_fn(|cx| outbox.poll_write(cx)).now_or_never().unwrap().unwrap(), Progress::All);
    assert_eq!(socket.taken(), [b"101".as_slice(), &close_frame(CloseCode::Slow)].concat());
}

#[tokio::test]
async fn the_task_may_be_first_and_a_thread_that_stops_leaves_nothing() {
    let (outbox, socket) = open(usize::MAX);
    let mut gathering = gathering().await;
    is_busy();
    assert!(outbox.put(item(1)));
    assert_eq!(poll_fn(|cx| outbox.poll_write(cx)).await.unwrap(), Progress::All);
    assert!(outbox.put(item(2)));
    gathering.abort_all();
    yield_now().await;
    assert_eq!(socket.taken(), [item(1).wire().to_vec(), item(2).wire().to_vec()].concat());
    assert!(outbox.put(item(3)));
    assert_eq!(calls(&socket), 3, "at once, from now on");
}

#[tokio::test]
async fn who_goes_yield_to_ready_comes_after_all_that_was_ready() {
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = JoinSet::new();
    for number in 1..=3 {
        let order = order.clone();
        tasks.spawn(async move {
            order.lock().unwrap().push((number, "takes"));
            yield_to_ready().await;
            order.lock().unwrap().push((number, "answers"));
        });
    }
    tasks.join_all().await;
    let expected = [1, 2, 3].map(|number| (number, "takes")).into_iter().chain([1, 2, 3].map(|number| (number, "answers")));
    assert_eq!(*order.lock().unwrap(), expected.collect::<Vec<_>>());
}
