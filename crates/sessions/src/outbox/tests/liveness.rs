use super::*;
use crate::outbox::life::Due;

/// Lets time pass, and returns what then is asked of the session, and whether its task was woken.
fn pass(outbox: &Outbox, seconds: u64) -> (Option<Todo>, bool) {
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    assert_eq!(outbox.poll_next(&mut TaskContext::from_waker(&waker)), Poll::Pending);
    outbox.context.clock.advance(Duration::from_secs(seconds));
    outbox.check(now(outbox));
    (next(outbox), woken.0.load(Ordering::Relaxed))
}

#[test]
fn a_ping_goes_out_without_waking_the_session_and_what_ends_it_wakes_it() {
    let (outbox, socket) = open(10_000);
    outbox.remind(Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1));
    assert_eq!(pass(&outbox, 15), (None, false), "nothing is due");
    assert_eq!(pass(&outbox, 20), (None, false));
    assert_eq!(socket.taken(), ping_frame());
    outbox.heard(now(&outbox).running);
    assert_eq!(pass(&outbox, 35), (None, false));
    assert_eq!(socket.taken(), [ping_frame(), ping_frame()].concat());
    assert_eq!(pass(&outbox, 11), (Some(Todo::Asked(Request::Check)), true), "no answer");
    assert_eq!(outbox.due(now(&outbox).running), Due::Dead);
    outbox.heard(now(&outbox).running);
    assert_eq!(pass(&outbox, 3600), (Some(Todo::Asked(Request::Check)), true), "the token has ended");
    assert_eq!(socket.taken().len(), 2 * ping_frame().len(), "who must go is not asked");
}

#[test]
fn a_ping_that_the_socket_does_not_take_is_brought_out_by_the_session() {
    let (outbox, socket) = open(1);
    assert_eq!(pass(&outbox, 35), (Some(Todo::Write), true));
    write_all(&outbox, &socket);
    assert_eq!(socket.taken(), ping_frame());
}

#[test]
fn a_client_has_its_time_for_an_answer_from_when_the_ping_is_out() {
    let (outbox, socket) = open(0);
    outbox.put(item(100));
    assert_eq!(next(&outbox), Some(Todo::Write));
    for _ in 0..3 {
        outbox.context.clock.advance(Duration::from_secs(30));
        outbox.check(now(&outbox));
    }
    write_all(&outbox, &socket);
    assert_eq!(next(&outbox), Some(Todo::Asked(Request::Check)));
    assert_eq!(outbox.due(now(&outbox).running), Due::Ping, "only now");
}

#[test]
fn reminders_do_not_multiply() {
    let (outbox, _socket) = open(usize::MAX);
    outbox.remind(Timestamp::MAX);
    let pass = |seconds: usize| -> usize {
        let second = |_| {
            outbox.context.clock.advance(Duration::from_secs(1));
            let wheels = &outbox.context.session_reminders;
            let count = wheels.iter().map(|wheel| wheel.due(now(&outbox).running).len()).sum();
            (0..count).for_each(|_| outbox.check(now(&outbox)));
            outbox.heard(now(&outbox).running);
            count
        };
        (0..seconds).map(second).sum()
    };
    // Each event brings the reminder forward, and is then acknowledged: what was to come later is still in the wheel.
    for _ in 0..100 {
        outbox.put(item(10));
        pass(1);
        outbox.acknowledged(id(1));
        pass(4);
    }
    pass(60);
    let settled = pass(300);
    assert!((5..=30).contains(&settled), "{settled} reminders in 300 s");
}

#[test]
fn behind_the_last_word_nothing_is_asked() {
    let (outbox, socket) = open(10_000);
    outbox.end(close_frame(CloseCode::Restarting));
    outbox.context.clock.advance(Duration::from_secs(60));
    outbox.check(now(&outbox));
    write_all(&outbox, &socket);
    assert_eq!(socket.taken(), close_frame(CloseCode::Restarting));
}
