use super::*;
use crate::profile::{PROFILES, Profile, REAPIT, STANDARD, Statuses};

const NOW: i64 = 1_700_000_000;

fn attempted(failures: u32) -> Attempted {
    Attempted { failures, sandbox: false, now: Timestamp::from_second(NOW).unwrap(), jitter: 0.0 }
}

fn status(status: u16) -> Answer {
    Answer::Status { status, retry_after: None }
}

fn with_retry_after(status: u16, text: &str) -> Answer {
    Answer::Status { status, retry_after: Some(text.to_owned()) }
}

fn wait(verdict: &Verdict) -> i64 {
    match &verdict.decision {
        Decision::Retry(at) => at.as_second() - NOW,
        other => panic!("{other:?}: {}", verdict.why),
    }
}

/// Every way in which a receiver can be out of reach.
fn unreachable() -> Vec<Unreachable> {
    let text = || "x".to_owned();
    let all = vec![
        Unreachable::Resolve(text()),
        Unreachable::Forbidden(text()),
        Unreachable::Connect(text()),
        Unreachable::Tls(text()),
        Unreachable::TimedOut { phase: "the answer", limit: Duration::from_secs(1) },
        Unreachable::Broken(text()),
    ];
    // So that a new one is not forgotten here.
    for one in &all {
        match one {
            Unreachable::Resolve(_) | Unreachable::Forbidden(_) | Unreachable::Connect(_) => {}
            Unreachable::Tls(_) | Unreachable::TimedOut { .. } | Unreachable::Broken(_) => {}
        }
    }
    all
}

#[test]
fn x11_every_status_and_every_failure_is_in_exactly_one_class_of_each_profile() {
    for profile in PROFILES {
        assert_eq!(profile.ambiguous(), [0_u16; 0], "{}", profile.name);
        for code in 100..=599 {
            let verdict = judge(profile, &status(code), attempted(0));
            let expected = match verdict.decision {
                Decision::Delivered => profile.success.contains(code),
                Decision::Retry(_) => profile.retry.contains(code),
                Decision::Dead => profile.final_.contains(code),
                Decision::Gone => profile.gone.contains(code),
            };
            assert!(expected, "{} {code}: {verdict:?}", profile.name);
            assert!(verdict.why.contains(&code.to_string()), "{verdict:?}");
        }
        for failure in unreachable() {
            let verdict = judge(profile, &Answer::Unreachable(failure.clone()), attempted(0));
            assert!(matches!(verdict.decision, Decision::Retry(_)), "{} {failure}", profile.name);
        }
    }
}

#[test]
fn a_profile_with_gaps_or_overlaps_is_known() {
    let gap = Profile { retry: Statuses(&[(300, 409)]), ..STANDARD };
    assert_eq!(gap.ambiguous().len(), 100 + 189);
    let overlap = Profile { final_: Statuses(&[(400, 400)]), ..STANDARD };
    assert_eq!(overlap.ambiguous(), [400]);
}

#[test]
fn r18_attempts_follow_60_120_300_600_900() {
    let waits: Vec<_> = (0..5).map(|failures| wait(&judge(&REAPIT, &status(500), attempted(failures)))).collect();
    assert_eq!(waits, [60, 120, 300, 600, 900]);
    let last = judge(&REAPIT, &status(500), attempted(5));
    assert_eq!(last.decision, Decision::Dead);
    assert_eq!(last.why, "not retried: 500 is not success under the profile reapit, and this was attempt 6 of 6");
}

#[test]
fn r20_no_4xx_is_sent_again() {
    for code in 400..500 {
        assert_eq!(judge(&REAPIT, &status(code), attempted(0)).decision, Decision::Dead, "{code}");
    }
    assert_eq!(wait(&judge(&REAPIT, &with_retry_after(503, "5"), attempted(0))), 60, "the schedule is exact");
}

#[test]
fn r22_what_failed_in_a_sandbox_is_not_sent_again() {
    let sandbox = Attempted { sandbox: true, ..attempted(0) };
    let verdict = judge(&REAPIT, &status(500), sandbox);
    assert_eq!(verdict.decision, Decision::Dead);
    assert!(verdict.why.contains("sandbox"), "{verdict:?}");
    assert!(matches!(judge(&STANDARD, &status(500), sandbox).decision, Decision::Retry(_)));
}

#[test]
fn s07_a_redirect_is_a_failure() {
    for code in 300..400 {
        assert!(matches!(judge(&STANDARD, &status(code), attempted(0)).decision, Decision::Retry(_)), "{code}");
    }
}

#[test]
fn s08_410_ends_the_subscription() {
    assert_eq!(judge(&STANDARD, &status(410), attempted(0)).decision, Decision::Gone);
    assert_eq!(judge(&REAPIT, &status(410), attempted(0)).decision, Decision::Dead);
}

#[test]
fn s09_429_502_503_and_504_throttle_the_endpoint() {
    for code in 400..=599 {
        let pause = judge(&STANDARD, &with_retry_after(code, "7"), attempted(0)).pause;
        let expected = matches!(code, 429 | 502 | 503 | 504).then_some(Duration::from_secs(7));
        assert_eq!(pause, expected, "{code}");
    }
}

#[test]
fn s10_retry_after_is_seconds_or_a_date_and_has_a_cap() {
    let asked = |text: &str| wait(&judge(&STANDARD, &with_retry_after(503, text), attempted(0)));
    assert_eq!(asked("120"), 120);
    assert_eq!(asked("3"), 5, "never earlier than the schedule");
    assert_eq!(asked("Tue, 14 Nov 2023 22:15:20 GMT"), 120);
    assert_eq!(asked("Tue, 14 Nov 2023 22:00:00 GMT"), 5, "past");
    assert_eq!(asked("86401"), 86_400);
    for garbage in ["-120", "soon", "", "1e9", "99999999999999999999999x"] {
        assert_eq!(asked(garbage), 5, "{garbage}");
    }
    assert_eq!(asked("99999999999999999999999"), 86_400);
}

#[test]
fn jitter_only_lengthens_and_by_a_fifth_at_most() {
    let with = |jitter| wait(&judge(&STANDARD, &status(500), Attempted { jitter, ..attempted(1) }));
    assert_eq!((with(0.0), with(1.0)), (300, 360));
    assert_eq!(wait(&judge(&REAPIT, &status(500), Attempted { jitter: 1.0, ..attempted(0) })), 60);
}
