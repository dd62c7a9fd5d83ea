use serde_json::json;

use super::*;

fn set(kids: &[(&str, &str)]) -> KeySet {
    let keys: Vec<_> = kids.iter().map(|(kid, n)| json!({"kty": "RSA", "kid": kid, "n": n, "e": "AQAB"})).collect();
    jwk::read(json!({"keys": keys}).to_string().as_bytes(), "here").unwrap()
}

fn state() -> RingState {
    let now = Duration::ZERO;
    RingState { keys: Arc::default(), is_reading: false, due: now, began: None, read_at: now, failures: 0 }
}

fn failed() -> Result<KeySet, KeysError> {
    Err(KeysError::Empty { place: "there".to_owned() })
}

#[test]
fn a_key_that_stays_is_the_same_and_one_that_goes_is_withdrawn() {
    let mut state = state();
    assert_eq!(state.replace(set(&[("a", "AQAB"), ("b", "AQAB")]).keys), (2, 0));
    let before = state.keys.clone();
    assert_eq!(state.replace(set(&[("b", "AQAB"), ("a", "AQAB")]).keys), (0, 0), "in another order");
    assert!(Arc::ptr_eq(&before[0], &state.keys[1]));
    assert_eq!(state.replace(set(&[("b", "AQAC"), ("a", "AQAB")]).keys), (1, 1), "another key under the same name");
    assert!(before[1].is_withdrawn() && !before[0].is_withdrawn());
}

#[test]
fn after_failures_it_is_tried_again_after_1_s_doubling_to_a_minute() {
    let (mut state, interval) = (state(), Duration::from_secs(600));
    let mut now = Duration::ZERO;
    for wait in [1, 2, 4, 8, 16, 32, 60, 60] {
        state.begin(now);
        assert!(matches!(state.end(failed(), interval, now), ReadingOutcome::Failed { keys: 0, .. }));
        assert_eq!(state.due, now + Duration::from_secs(wait));
        now = state.due;
    }
    assert_eq!(state.read_at, Duration::ZERO);
    state.failures = u32::MAX;
    state.end(failed(), interval, now);
    assert_eq!(state.due, now + RETRY_MAX);
    assert!(matches!(state.end(Ok(set(&[("a", "AQAB")])), interval, now), ReadingOutcome::Read { added: 1, .. }));
    assert_eq!((state.failures, state.read_at), (0, now));
}

#[test]
fn a_regular_reading_is_early_by_a_fifth_at_most() {
    let interval = Duration::from_secs(600);
    for _ in 0..1000 {
        let wait = early(interval);
        assert!(wait <= interval && wait >= interval.mul_f64(0.8), "{wait:?}");
    }
}

#[test]
fn a_file_has_a_mebibyte_at_most() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let keys = json!({"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}]}).to_string();
    let padded = |length: usize| format!("{keys}{}", " ".repeat(length - keys.len()));
    std::fs::write(file.path(), padded(fetch::BODY_BYTES_MAX)).unwrap();
    assert!(check_key_set(file.path()).is_ok());
    std::fs::write(file.path(), padded(fetch::BODY_BYTES_MAX + 1)).unwrap();
    assert!(matches!(check_key_set(file.path()), Err(KeysError::TooLarge { .. })));
}
