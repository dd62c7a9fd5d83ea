use std::sync::Arc;

use super::*;

const START: i64 = 1_000_000;

fn ledger() -> Ledger {
    Ledger::new(People::new(1))
}

fn post(ledger: &mut Ledger, call: u64, state: State, second: i64) {
    let (from, targets) = (START + second * 1000, Arc::new(vec![Negotiator(0)]));
    ledger.posted(&Posted { call, state, targets, from, taken: Some(from + 2), tries: 1 });
}

fn hear(ledger: &mut Ledger, second: i64, what: What) {
    ledger.heard(DesktopLine { desktop: 0, at: START + second * 1000 + 5, what });
}

fn opened(resume: Resume, calls: &[u64]) -> What {
    What::Opened { resume, cursor: "c".to_owned(), calls: calls.to_vec() }
}

fn event(call: u64, state: State) -> What {
    What::Event { call, state, cursor: "c".to_owned() }
}

#[test]
fn what_came_is_received_and_what_did_not_is_missing() {
    let mut ledger = ledger();
    hear(&mut ledger, 0, opened(Resume::New, &[]));
    post(&mut ledger, 1, State::Incoming, 10);
    post(&mut ledger, 1, State::Ended, 20);
    hear(&mut ledger, 10, event(1, State::Incoming));
    let account = ledger.account();
    assert_eq!((account.due, account.received, account.missing), (2, 1, 1));
    assert!(!account.is_clean());
}

fn fates(account: &Account) -> Vec<&'static str> {
    let counts = [
        (account.missing, "missing"),
        (account.expired, "expired"),
        (account.lost_with_the_node, "lost"),
        (account.too_late, "too late"),
        (account.sent_late, "sent late"),
        (account.stale, "stale"),
        (account.received, "received"),
    ];
    counts.iter().filter(|(count, _)| *count > 0).map(|(_, fate)| *fate).collect()
}

#[test]
fn what_a_resume_leaves_out_is_missing_but_for_a_call_that_rings_no_longer_and_a_broker_that_died() {
    for (back, resume, kill, expected) in [
        (30, Resume::Full, None, "missing"),
        (60, Resume::Full, None, "expired"),
        (30, Resume::None, None, "missing"),
        (30, Resume::New, None, "missing"),
        (30, Resume::None, Some(20), "lost"),
    ] {
        let mut ledger = ledger();
        hear(&mut ledger, 0, opened(Resume::New, &[]));
        hear(&mut ledger, 5, What::Away { code: 1006 });
        kill.into_iter().for_each(|kill: i64| ledger.killed(START + kill * 1000));
        post(&mut ledger, 1, State::Incoming, 10);
        hear(&mut ledger, back, opened(resume, &[]));
        assert_eq!(fates(&ledger.account()), [expected]);
    }
}

#[test]
fn what_a_sound_session_did_not_bring_is_missing_whatever_comes_later() {
    for (later, resume) in [(100, Resume::Full), (100, Resume::None)] {
        let mut ledger = ledger();
        hear(&mut ledger, 0, opened(Resume::New, &[]));
        post(&mut ledger, 1, State::Incoming, 10);
        ledger.killed(START + 90_000);
        hear(&mut ledger, 90, What::Away { code: 1006 });
        hear(&mut ledger, later, opened(resume, &[]));
        assert_eq!(fates(&ledger.account()), ["missing"], "{resume:?}");
    }
}

#[test]
fn a_call_that_is_read_late_is_excused_by_a_stall_alone() {
    for (stall, expected) in [(true, "too late"), (false, "sent late")] {
        let mut ledger = ledger();
        hear(&mut ledger, 0, opened(Resume::New, &[]));
        if stall {
            hear(&mut ledger, 9, What::Stalls { millis: 60_000 });
        }
        post(&mut ledger, 1, State::Incoming, 10);
        hear(&mut ledger, 70, What::TooLate { call: 1, cursor: "c".to_owned() });
        assert_eq!(fates(&ledger.account()), [expected]);
    }
}

#[test]
fn what_was_before_the_first_session_is_not_due() {
    let mut ledger = ledger();
    post(&mut ledger, 1, State::Incoming, 10);
    hear(&mut ledger, 12, opened(Resume::New, &[1]));
    let account = ledger.account();
    assert_eq!((account.due, account.not_there, account.is_clean()), (0, 1, true));
}

#[test]
fn a_call_that_pops_long_after_it_rang_is_stale_and_so_is_one_that_a_welcome_names() {
    let mut ledger = ledger();
    hear(&mut ledger, 0, opened(Resume::New, &[]));
    post(&mut ledger, 1, State::Incoming, 10);
    hear(&mut ledger, 70, event(1, State::Incoming));
    hear(&mut ledger, 80, opened(Resume::Full, &[1]));
    assert_eq!(ledger.account().stale, 2);
}

#[test]
fn an_end_for_good_and_a_second_beginning_are_never_clean() {
    let mut ledger = ledger();
    hear(&mut ledger, 0, opened(Resume::New, &[]));
    hear(&mut ledger, 1, opened(Resume::Full, &[]));
    assert!(ledger.account().is_clean());
    for what in [What::Stopped { code: 4005 }, opened(Resume::New, &[])] {
        let mut ledger = self::ledger();
        hear(&mut ledger, 0, opened(Resume::New, &[]));
        hear(&mut ledger, 1, what);
        assert!(!ledger.account().is_clean());
    }
}

#[test]
fn a_lost_place_is_explained_by_a_kill_alone() {
    for (kills, is_clean) in [(vec![START + 6_000], true), (Vec::new(), false)] {
        let mut ledger = ledger();
        hear(&mut ledger, 0, opened(Resume::New, &[]));
        kills.iter().for_each(|kill| ledger.killed(*kill));
        hear(&mut ledger, 8, opened(Resume::None, &[]));
        assert_eq!(ledger.account().is_clean(), is_clean);
    }
}

#[test]
fn a_call_that_pops_after_its_end_is_stale_and_so_is_one_in_a_welcome() {
    let mut ledger = ledger();
    hear(&mut ledger, 0, opened(Resume::New, &[]));
    post(&mut ledger, 1, State::Incoming, 10);
    post(&mut ledger, 1, State::Ended, 12);
    hear(&mut ledger, 12, event(1, State::Ended));
    hear(&mut ledger, 13, event(1, State::Incoming));
    hear(&mut ledger, 30, opened(Resume::Full, &[1]));
    assert_eq!(ledger.account().stale, 2);
}

#[test]
fn a_welcome_must_name_what_is_live_unless_the_broker_died_since() {
    for (kill, unnamed) in [(5, 1), (15, 0)] {
        let mut ledger = ledger();
        hear(&mut ledger, 0, opened(Resume::New, &[]));
        ledger.killed(START + kill * 1000);
        post(&mut ledger, 1, State::Incoming, 10);
        hear(&mut ledger, 10, event(1, State::Incoming));
        hear(&mut ledger, 25, opened(Resume::Full, &[]));
        assert_eq!(ledger.account().calls_unnamed, unnamed);
    }
}
