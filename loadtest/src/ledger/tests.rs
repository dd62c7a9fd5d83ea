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
    ledger.heard(Line { desktop: 0, at: START + second * 1000 + 5, what });
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

#[test]
fn what_a_resume_leaves_out_is_missing_but_for_a_call_that_rings_no_longer() {
    for (back, resume, expected) in [(30, Resume::Full, "missing"), (60, Resume::Full, "expired"), (30, Resume::None, "lost")] {
        let mut ledger = ledger();
        hear(&mut ledger, 0, opened(Resume::New, &[]));
        hear(&mut ledger, 5, What::Away { code: 1006 });
        post(&mut ledger, 1, State::Incoming, 10);
        hear(&mut ledger, back, opened(resume, &[1]));
        let account = ledger.account();
        let fates = [(account.missing, "missing"), (account.expired, "expired"), (account.lost_with_the_node, "lost")];
        assert_eq!(fates.iter().filter(|(count, _)| *count > 0).map(|(_, fate)| *fate).collect::<Vec<_>>(), [expected]);
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
