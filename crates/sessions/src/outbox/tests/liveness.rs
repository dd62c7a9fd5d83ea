use super::*;
use crate::outbox::life::Due;

/// Lets time pass, and gives what then is asked of the session, and whether its task was woken.
fn pass(queue: &Outbox, seconds: u64) -> (Option<Outgoing>, bool) {
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    assert_eq!(queue.poll_next(&mut TaskContext::from_waker(&waker)), Poll::Pending);
    queue.context.clock.advance(Duration::from_secs(seconds));
    queue.check(now(queue));
    (next(queue), woken.0.load(Ordering::Relaxed))
}

#[test]
fn a_ping_goes_out_without_waking_the_session_and_what_ends_it_wakes_it() {
    let (queue, socket) = open(10_000);
    queue.remind(Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1));
    assert_eq!(pass(&queue, 15), (None, false), "nothing is due");
    assert_eq!(pass(&queue, 20), (None, false));
    assert_eq!(socket.taken(), ping_frame());
    queue.heard(now(&queue).running);
    assert_eq!(pass(&queue, 35), (None, false));
    assert_eq!(socket.taken(), [ping_frame(), ping_frame()].concat());
    assert_eq!(pass(&queue, 11), (Some(Outgoing::Check), true), "no answer");
    assert_eq!(queue.due(now(&queue).running), Due::Dead);
    queue.heard(now(&queue).running);
    assert_eq!(pass(&queue, 3600), (Some(Outgoing::Check), true), "the token has ended");
    assert_eq!(socket.taken().len(), 2 * ping_frame().len(), "who must go is not asked");
}

#[test]
fn a_ping_that_the_socket_does_not_take_is_brought_out_by_the_session() {
    let (queue, socket) = open(1);
    assert_eq!(pass(&queue, 35), (Some(Outgoing::Write), true));
    write_all(&queue, &socket);
    assert_eq!(socket.taken(), ping_frame());
}

#[test]
fn a_client_has_its_time_for_an_answer_from_when_the_ping_is_out() {
    let (queue, socket) = open(0);
    queue.put(item(100));
    assert_eq!(next(&queue), Some(Outgoing::Write));
    for _ in 0..3 {
        queue.context.clock.advance(Duration::from_secs(30));
        queue.check(now(&queue));
    }
    write_all(&queue, &socket);
    assert_eq!(next(&queue), Some(Outgoing::Check));
    assert_eq!(queue.due(now(&queue).running), Due::Ping, "only now");
}

#[test]
fn reminders_do_not_multiply() {
    let (queue, _socket) = open(usize::MAX);
    queue.remind(Timestamp::MAX);
    let pass = |seconds: usize| -> usize {
        let second = |_| {
            queue.context.clock.advance(Duration::from_secs(1));
            let wheels = &queue.context.session_reminders;
            let count = wheels.iter().map(|wheel| wheel.due(now(&queue).running).len()).sum();
            (0..count).for_each(|_| queue.check(now(&queue)));
            queue.heard(now(&queue).running);
            count
        };
        (0..seconds).map(second).sum()
    };
    // Each event brings the reminder forward, and is then acknowledged: what was to come later is still in the wheel.
    for _ in 0..100 {
        queue.put(item(10));
        pass(1);
        queue.acknowledged(id(1));
        pass(4);
    }
    pass(60);
    let settled = pass(300);
    assert!((5..=30).contains(&settled), "{settled} reminders in 300 s");
}

#[test]
fn behind_the_last_word_nothing_is_asked() {
    let (queue, socket) = open(10_000);
    queue.end(close_frame(CloseCode::Restarting));
    queue.context.clock.advance(Duration::from_secs(60));
    queue.check(now(&queue));
    write_all(&queue, &socket);
    assert_eq!(socket.taken(), close_frame(CloseCode::Restarting));
}
