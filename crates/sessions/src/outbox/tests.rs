use std::future::poll_fn;
use std::io::IoSlice;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context as TaskContext, Poll, Wake};

use clock::Clock;
use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};
use prometheus_client::registry::Registry;
use protocol::frame::EncodedFrame;
use protocol::id::NegotiatorId;
use protocol::payload::CallState;

use super::*;
use crate::config::Config;
use crate::delivery::Delivery;
use crate::metrics::Metrics;
use crate::testing::{frame, id, of_bytes};
use crate::ws::codec::{close_frame, ping_frame, text_frame};

/// A socket that takes so many bytes, or is broken.
#[derive(Debug, Clone, Default)]
struct Socket(Arc<Mutex<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    bytes: Vec<u8>,
    calls: usize,
    room: usize,
    broken: bool,
    /// Keeps what it took, as a line with TLS does whose socket is full.
    holds: bool,
}

impl Socket {
    fn with_room(room: usize) -> Self {
        let socket = Self::default();
        socket.make_room(room);
        socket
    }

    fn make_room(&self, room: usize) {
        self.0.lock().unwrap().room = room;
    }

    fn taken(&self) -> Vec<u8> {
        self.0.lock().unwrap().bytes.clone()
    }
}

impl WayOut for Socket {
    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.poll_write(&mut TaskContext::from_waker(Waker::noop()), slices) {
            Poll::Ready(written) => written,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn poll_write(&self, _: &mut TaskContext<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        let mut taken = self.0.lock().unwrap();
        let count = bytes.len().min(taken.room);
        taken.room -= count;
        taken.calls += 1;
        taken.bytes.extend_from_slice(&bytes[..count]);
        match (taken.broken, count) {
            (true, _) => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            (false, 0) => Poll::Pending,
            (false, count) => Poll::Ready(Ok(count)),
        }
    }

    fn poll_flush(&self, _: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        if self.0.lock().unwrap().holds { Poll::Pending } else { Poll::Ready(Ok(())) }
    }
}

/// Whether a task was woken.
#[derive(Debug, Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn context() -> Arc<Context> {
    let metrics = Metrics::register(&mut Registry::default());
    Arc::new(Context::new(Config::default(), Clock::stepped(Timestamp::UNIX_EPOCH), metrics))
}

fn outbox_of(context: &Arc<Context>) -> Arc<Outbox> {
    let who = Who { negotiator: NegotiatorId::parse("ADV").unwrap(), session: id(1), device: None };
    Arc::new(Outbox::new(who, context.clone()))
}

fn outbox() -> Arc<Outbox> {
    outbox_of(&context())
}

/// A session with a socket that takes so many bytes.
fn open(room: usize) -> (Arc<Outbox>, Socket) {
    let (outbox, socket) = (outbox(), Socket::with_room(room));
    outbox.open(Arc::new(socket.clone()), []);
    (outbox, socket)
}

fn item(bytes: usize) -> Item {
    Item::Event(of_bytes(bytes))
}

fn word(text: &str) -> Bytes {
    text_frame(text.as_bytes())
}

fn next(outbox: &Outbox) -> Option<Todo> {
    poll_fn(|cx| outbox.poll_next(cx)).now_or_never()
}

fn write(outbox: &Arc<Outbox>) -> Option<io::Result<Progress>> {
    poll_fn(|cx| outbox.poll_write(cx)).now_or_never()
}

/// Gives the socket room for all that waits, and writes it.
fn write_all(outbox: &Arc<Outbox>, socket: &Socket) {
    socket.make_room(usize::MAX);
    assert!(matches!(write(outbox), Some(Ok(Progress::All))));
}

fn now(outbox: &Outbox) -> Moment {
    outbox.context.clock.moment()
}

fn waits(outbox: &Outbox) -> (i64, usize) {
    (outbox.context.metrics.waiting.get(), outbox.context.waiting_bytes())
}

/// The payloads of frames of less than 126 bytes.
fn texts(mut bytes: &[u8]) -> Vec<String> {
    let mut texts = Vec::new();
    while let [_, length, rest @ ..] = bytes {
        let (text, rest) = rest.split_at(usize::from(*length));
        texts.push(String::from_utf8_lossy(text).into_owned());
        bytes = rest;
    }
    texts
}

#[test]
fn sixty_four_events_wait_and_one_more_closes_the_session_as_slow() {
    let outbox = outbox();
    for _ in 0..64 {
        assert!(outbox.put(item(1)));
    }
    assert_eq!(waits(&outbox), (64, 64 * 3), "a head of two bytes and a text of one");
    assert!(!outbox.put(item(1)));
    assert!(!outbox.put(item(1)));
    assert_eq!(waits(&outbox), (0, 0));
    assert!(matches!(write(&outbox), Some(Ok(Progress::Abandoned(CloseCode::Slow)))));
    assert_eq!(next(&outbox), Some(Todo::Asked(Request::Close(CloseCode::Slow))));
}

#[test]
fn sixty_four_kibibytes_wait_and_one_byte_more_closes_the_session_as_slow() {
    let exactly = |last| {
        let outbox = outbox();
        // A head of four bytes, and one of two.
        assert!(outbox.put(item(64 * 1024 - 4 - 4 - 1000)));
        outbox.put(item(last))
    };
    assert!(exactly(1000));
    assert!(!exactly(1001));
}

#[test]
fn what_waits_comes_before_a_close_and_the_first_reason_stands() {
    let outbox = outbox();
    outbox.put(item(1));
    outbox.check(now(&outbox));
    outbox.close(CloseCode::Restarting);
    outbox.close(CloseCode::Slow);
    assert_eq!(next(&outbox), Some(Todo::Write));
    assert_eq!(outbox.take().len(), 1);
    assert_eq!(next(&outbox), Some(Todo::Asked(Request::Close(CloseCode::Restarting))));
}

#[test]
fn what_is_shed_or_dropped_is_not_counted_any_more() {
    let context = context();
    let (shed, dropped) = (outbox_of(&context), outbox_of(&context));
    shed.put(item(100));
    dropped.put(item(100));
    assert_eq!(waits(&shed), (2, 204));
    shed.shed();
    assert_eq!(next(&shed), Some(Todo::Asked(Request::Close(CloseCode::Overloaded))));
    drop(dropped);
    assert_eq!(waits(&shed), (0, 0));
}

#[test]
fn an_event_goes_to_the_socket_at_once_where_nothing_waits() {
    let (outbox, socket) = open(1000);
    assert!(outbox.put(item(10)));
    assert_eq!(texts(&socket.taken()), ["x".repeat(10)]);
    assert_eq!((waits(&outbox), outbox.context.metrics.written.get()), ((0, 0), 1));
    assert_eq!(next(&outbox), None, "there is nothing to do for the session's task");
}

#[test]
fn events_wait_until_the_session_was_welcomed() {
    let (outbox, socket) = (outbox(), Socket::with_room(1000));
    outbox.put(item(10));
    assert_eq!(next(&outbox), Some(Todo::Write));
    outbox.open(Arc::new(socket.clone()), [Item::frame(word("welcome")), item(3)]);
    outbox.put(item(20));
    assert!(socket.taken().is_empty());
    write_all(&outbox, &socket);
    assert_eq!(texts(&socket.taken()), ["welcome".to_owned(), "x".repeat(3), "x".repeat(10), "x".repeat(20)]);
    assert_eq!((waits(&outbox), outbox.context.metrics.written.get()), ((0, 0), 3));
}

#[test]
fn what_a_socket_takes_in_part_is_brought_out_whole_and_in_order() {
    for room in 0..36 {
        let (outbox, socket) = open(room);
        assert!(outbox.put(item(10)) && outbox.put(item(20)));
        outbox.say(word("an answer"));
        let mut patience = 0;
        while next(&outbox) == Some(Todo::Write) {
            socket.make_room(7);
            assert!(matches!(write(&outbox), Some(Ok(Progress::Some | Progress::All))));
            patience += 1;
            assert!(patience < 20, "it comes to an end");
        }
        let (first, second, answer) = ("x".repeat(10), "x".repeat(20), "an answer".to_owned());
        // An answer waits for no event, but for the rest of one that the socket has in part.
        let expected = match room {
            0 => [answer, first, second],
            1..=12 => [first, answer, second],
            _ => [first, second, answer],
        };
        assert_eq!(texts(&socket.taken()), expected, "room for {room}");
        assert_eq!(waits(&outbox), (0, 0));
    }
}

#[test]
fn a_frame_that_was_begun_is_finished_before_the_last_word() {
    let (outbox, socket) = open(5);
    outbox.put(item(10));
    outbox.put(item(20));
    outbox.shed();
    assert_eq!(waits(&outbox), (1, 12), "what the socket has in part");
    assert!(matches!(write(&outbox), Some(Ok(Progress::Abandoned(CloseCode::Overloaded)))));
    outbox.end(close_frame(CloseCode::Overloaded));
    write_all(&outbox, &socket);
    let expected = [word("xxxxxxxxxx"), close_frame(CloseCode::Overloaded)].concat();
    assert_eq!(socket.taken(), expected);
    assert_eq!(waits(&outbox), (0, 0));
}

#[test]
fn an_event_larger_than_the_bound_of_which_a_part_is_out_is_kept() {
    let (outbox, socket) = open(5);
    assert!(outbox.put(item(65 * 1024)));
    assert!(!outbox.put(item(1)), "but nothing more has room");
    outbox.end(ping_frame());
    write_all(&outbox, &socket);
    assert_eq!(socket.taken().len(), 65 * 1024 + 10 + 2);
}

#[test]
fn what_stopped_ringing_while_it_waited_is_left_out_unless_it_was_begun() {
    let ringing = |text: &str| {
        let expires = Timestamp::UNIX_EPOCH.checked_add(SignedDuration::from_secs(45)).unwrap();
        let mut frame = EncodedFrame { text: text.to_owned().into(), ..frame(1, "c", CallState::Incoming, 0) };
        frame.facts.expires = Some(expires);
        Item::Event(Arc::new(Delivery::new(frame, Duration::ZERO, None)))
    };
    let (outbox, socket) = open(3);
    for text in ["begun", "late"] {
        outbox.put(ringing(text));
    }
    outbox.put(item(2));
    outbox.context.clock.advance(Duration::from_secs(46));
    write_all(&outbox, &socket);
    assert_eq!(texts(&socket.taken()), ["begun", "xx"]);
    assert_eq!((outbox.context.metrics.expired.get(), waits(&outbox)), (1, (0, 0)));
}

#[test]
fn a_broken_line_is_found_by_the_task_of_the_session() {
    let (outbox, socket) = open(1000);
    socket.0.lock().unwrap().broken = true;
    assert!(outbox.put(item(1)));
    assert_eq!(next(&outbox), Some(Todo::Write));
    assert!(matches!(write(&outbox), Some(Err(_))));
}

#[test]
fn many_frames_go_out_in_few_calls() {
    let (outbox, socket) = open(0);
    (0..64).for_each(|_| assert!(outbox.put(item(1))));
    socket.make_room(usize::MAX);
    let calls = std::iter::from_fn(|| write(&outbox)).take_while(|progress| matches!(progress, Ok(Progress::Some))).count();
    assert_eq!((calls, texts(&socket.taken()).len()), (3, 64));
}

#[test]
fn a_last_word_is_not_dropped_for_want_of_memory() {
    let (outbox, socket) = open(0);
    outbox.end(close_frame(CloseCode::Replaced));
    outbox.shed();
    write_all(&outbox, &socket);
    assert_eq!(socket.taken(), close_frame(CloseCode::Replaced));
}

#[test]
fn what_a_line_holds_on_to_is_brought_out_by_the_sessions_task() {
    let (outbox, socket) = open(usize::MAX);
    socket.0.lock().unwrap().holds = true;
    let woken = Arc::new(Woken::default());
    assert!(outbox.poll_next(&mut TaskContext::from_waker(&woken.clone().into())).is_pending());
    assert!(outbox.put(item(100)));
    assert!(woken.0.load(Ordering::Relaxed));
    assert_eq!(waits(&outbox), (0, 0), "the line has it");
    assert!(matches!(next(&outbox), Some(Todo::Write)));
    assert!(outbox.put(item(50)));
    assert_eq!(waits(&outbox).0, 1, "nothing is put into a line that holds on to something");
    assert!(write(&outbox).is_none());
    socket.0.lock().unwrap().holds = false;
    assert!(matches!(write(&outbox), Some(Ok(Progress::All))));
    assert_eq!((waits(&outbox), next(&outbox).is_none()), ((0, 0), true));
}

#[test]
#[cfg(not(feature = "model"))]
fn an_outbox_is_small_as_each_idle_session_has_one() {
    let bytes = size_of::<Outbox>();
    assert!(bytes <= 344, "{bytes} bytes, for each session");
}

mod gather; // what comes together
mod liveness; // what is due, and who is woken for it
