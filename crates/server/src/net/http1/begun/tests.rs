use hyper::header::HeaderName;

use super::*;

const REQUEST: &str = "POST /notifications HTTP/1.1\r\nhost: x\r\nAuthorization: Bearer a.b.c\r\ncontent-length: 4\r\n\r\n{..}";

fn begun<T>(text: &str, found: impl FnOnce(&Whole<'_>) -> T) -> Result<T, bool> {
    let mut room = None;
    let is_frequent =
        |method: &Method, path: &str| matches!((method, path), (&Method::POST, "/notifications") | (&Method::GET, "/session"));
    match Begun::read(text.as_bytes(), &mut room, None, is_frequent) {
        Begun::Whole(whole) => Ok(found(&whole)),
        Begun::Part => Err(true),
        Begun::Other => Err(false),
    }
}

/// The body of an event, and where the next request begins; else whether something may be missing.
fn read(text: &str) -> Result<(String, usize), bool> {
    begun(text, |whole| (String::from_utf8(whole.body.to_vec()).unwrap(), whole.bytes))
}

/// The query of a hand-shake, and where what is behind it begins.
fn read_hand_shake(text: &str) -> Result<(Option<String>, usize), bool> {
    begun(text, |whole| (whole.query.map(str::to_owned), whole.bytes))
}

fn with(line: &str) -> String {
    REQUEST.replace("host: x", &format!("host: x\r\n{line}"))
}

#[test]
fn a_request_is_read_once_it_is_whole_and_no_further() {
    assert_eq!(read(REQUEST), Ok(("{..}".to_owned(), REQUEST.len())));
    assert_eq!(read(&format!("{REQUEST}{REQUEST}")), Ok(("{..}".to_owned(), REQUEST.len())));
    for end in 0..REQUEST.len() {
        assert_eq!(read(&REQUEST[..end]), Err(true), "{end} bytes");
    }
}

#[test]
fn headers_are_found_by_name_however_it_is_written() {
    let text = with("prefer: a\r\nPREFER:  b \r\npreferred: c");
    let found = begun(&text, |whole| {
        let all = |name| whole.headers.all(&HeaderName::from_static(name)).map(<[u8]>::to_vec).collect::<Vec<_>>();
        let cookie = HeaderName::from_static("cookie");
        assert!(!whole.headers.has(&cookie) && whole.headers.first(&cookie).is_none());
        [all("prefer"), all("authorization"), all("cookie")]
    });
    assert_eq!(found, Ok([vec![b"a".to_vec(), b"b".to_vec()], vec![b"Bearer a.b.c".to_vec()], vec![]]));
}

#[test]
fn what_may_mean_more_is_left_to_the_library() {
    for text in [
        REQUEST.replace("POST", "GET"),
        REQUEST.replace("POST", "post"),
        REQUEST.replace("/notifications", "/notifications/"),
        REQUEST.replace("/notifications", "http://x/notifications"),
        REQUEST.replace("/notifications", "/notifications#a"),
        REQUEST.replace("HTTP/1.1", "HTTP/1.0"),
        with("transfer-encoding: chunked"),
        with("Transfer-Encoding: identity"),
        with("expect: 100-continue"),
        with("upgrade: h2c"),
        with("connection: close"),
        with("connection: keep-alive, upgrade"),
        with("content-length: 4"),
        with("content-length : 4"),
        with("a b: c"),
        with(": c"),
        with("a: b\0"),
        with(" folded: line"),
        REQUEST.replace("content-length: 4", "content-length: +4"),
        REQUEST.replace("content-length: 4", "content-length: 4, 4"),
        REQUEST.replace("content-length: 4", "content-length: -4"),
        REQUEST.replace("content-length: 4", "content-length: 0x4"),
        REQUEST.replace("content-length: 4", "content-length:"),
        REQUEST.replace("content-length: 4", "content-length: 99999999999999999999"),
        REQUEST.replace("content-length: 4", "x: y"),
        with("connection: upgrade"),
        with(&vec!["a: b"; HEADERS_MAX - 2].join("\r\n")),
        format!("\r\n{REQUEST}"),
    ] {
        assert_eq!(read(&text), Err(false), "{text}");
    }
    assert!(read(&REQUEST.replace("/notifications", "/notifications?a=b")).is_ok(), "what it means is for who answers");
    for line in [
        "origin: https://crm.example",
        "connection: Keep-Alive",
        "te: trailers",
        "x-forwarded-for: 192.0.2.1",
        "content-lengths: 4",
        "a: \u{e9}",
    ] {
        assert!(read(&with(line)).is_ok(), "{line}");
    }
    assert!(read(&with(&vec!["a: b"; HEADERS_MAX - 3].join("\r\n"))).is_ok());
}

#[test]
fn what_has_no_room_is_left_to_the_library() {
    let of = |length: usize| REQUEST.replace("content-length: 4", &format!("content-length: {length:05}"));
    let room = BUFFER_BYTES - of(0).len() + "{..}".len();
    assert_eq!(read(&of(room)), Err(true));
    assert_eq!(read(&of(room + 1)), Err(false));
}

const HAND_SHAKE: &str = "GET /session?device=d HTTP/1.1\r\nhost: x\r\nConnection: Upgrade\r\nupgrade: websocket\r\n\r\n";

#[test]
fn a_hand_shake_is_read_once_it_is_whole_and_no_further() {
    assert_eq!(read_hand_shake(HAND_SHAKE), Ok((Some("device=d".to_owned()), HAND_SHAKE.len())));
    assert_eq!(read_hand_shake(&format!("{HAND_SHAKE}\u{81}")), Ok((Some("device=d".to_owned()), HAND_SHAKE.len())));
    assert_eq!(read_hand_shake(&HAND_SHAKE.replace("?device=d", "")).unwrap().0, None);
    assert_eq!(read_hand_shake(&HAND_SHAKE.replace("?device=d", "?")).unwrap().0.as_deref(), Some(""));
    assert!(read_hand_shake(&HAND_SHAKE.replace("host: x", "sec-websocket-protocol: bellwire.v1")).is_ok());
    for end in 0..HAND_SHAKE.len() {
        assert_eq!(read_hand_shake(&HAND_SHAKE[..end]), Err(true), "{end} bytes");
    }
}

#[test]
fn a_hand_shake_that_may_mean_more_is_left_to_the_library() {
    for text in [
        HAND_SHAKE.replace("/session?", "/sessions?"),
        HAND_SHAKE.replace("/session?", "/session/x?"),
        HAND_SHAKE.replace("device=d", "device=d#e"),
        HAND_SHAKE.replace("device=d", "device=d e"),
        HAND_SHAKE.replace("device=d", "device=\u{e9}"),
        HAND_SHAKE.replace("Upgrade\r\n", "keep-alive, Upgrade\r\n"),
        HAND_SHAKE.replace("host: x", "content-length: 0"),
        HAND_SHAKE.replace("host: x", "transfer-encoding: chunked"),
        HAND_SHAKE.replace("host: x", "expect: 100-continue"),
        HAND_SHAKE.replace("host: x", "ho st: x"),
        HAND_SHAKE.replace("GET", "HEAD"),
        HAND_SHAKE.replace("HTTP/1.1", "HTTP/1.0"),
        HAND_SHAKE.replace("\r\n", "\n"),
    ] {
        assert_eq!(read_hand_shake(&text), Err(false), "{text}");
    }
}
