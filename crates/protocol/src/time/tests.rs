use super::*;

fn unix_nanos(text: &str) -> Option<i128> {
    read(text).map(Timestamp::as_nanosecond)
}

#[test]
fn a_time_without_a_zone_is_utc() {
    let utc = unix_nanos("2023-11-01T10:28:00Z");
    assert!(utc.is_some());
    assert_eq!(unix_nanos("2023-11-01T10:28:00"), utc);
    assert_eq!(unix_nanos("2023-11-01T12:28:00+02:00"), utc);
    assert_eq!(unix_nanos("2023-11-01T04:58:00-05:30"), utc);
    assert_eq!(unix_nanos("2023-11-01T10:28:00.000000001"), utc.map(|nanos| nanos + 1));
}

#[test]
fn what_no_calendar_or_clock_has_is_refused() {
    for good in ["2024-02-29T00:00:00", "2023-12-31T23:59:59.9", "2000-02-29T00:00:00"] {
        assert!(read(good).is_some(), "{good}");
    }
    let bad = [
        "",
        "2023-02-31T10:00:00",
        "2023-02-29T10:00:00",
        "1900-02-29T00:00:00",
        "2023-13-01T10:00:00",
        "2023-00-10T10:00:00",
        "2023-11-01T24:00:00",
        "2023-11-01T10:60:00",
        "2023-11-01T10:28:60",
        "2023-11-01 10:28:00",
        "2023-11-01T10:28",
        "2023-11-01t10:28:00",
        "2023-11-01T10:28:00z",
        "2023-11-01T10:28:00.",
        "2023-11-01T10:28:00.1234567890",
        "2023-11-01T10:28:00+24:00",
        "2023-11-01T10:28:00+01:60",
        "2023-11-01T10:28:00+0100",
        "2023-11-01T10:28:00+01",
        "2023-11-01T10:28:00ZZ",
        "+023-11-01T10:28:00",
        "2023-11-01T10:28:+1",
        "２０２３-11-01T10:28:00",
    ];
    for bad in bad {
        assert!(read(bad).is_none(), "{bad}");
    }
}

#[test]
fn the_last_hours_of_the_year_9999_are_the_last_moment() {
    assert!(read("9999-12-30T21:59:59").is_some_and(|at| at < Timestamp::MAX));
    assert_eq!(read("9999-12-31T23:59:59.5-23:59"), Some(Timestamp::MAX));
    assert!(read("0000-01-01T00:00:00+23:59").is_some());
}

#[test]
fn times_are_written_with_milliseconds() {
    assert_eq!(read("2023-11-01T10:28:00.1239").map(millis).as_deref(), Some("2023-11-01T10:28:00.123Z"));
    assert_eq!(read("2023-11-01T10:28:00").map(millis).as_deref(), Some("2023-11-01T10:28:00.000Z"));
}
