use clock::Clock;
use hyper::Response;
use hyper::header::HeaderValue;

use super::*;

fn answer(response: Response<Outgoing>) -> Answer {
    Answer { response, id: HeaderValue::from_static("r1"), upgrade: None }
}

fn written(response: Response<Outgoing>, now: Moment, is_last: bool) -> String {
    let mut text = Vec::new();
    put_answer(&mut text, &answer(response), now, is_last);
    String::from_utf8(text).unwrap()
}

#[test]
fn an_answer_says_what_the_library_would() {
    let at = "2026-11-23T02:03:04Z".parse().unwrap();
    let clock = Clock::stepped(at);
    let response = || {
        let mut response = Response::new(Outgoing::from("{}"));
        response.headers_mut().insert("prefer", "nothing".parse().unwrap());
        response
    };
    let date = "date: Mon, 23 Nov 2026 02:03:04 GMT\r\n";
    let written = |response, is_last| written(response, clock.moment(), is_last);
    let expected = format!("HTTP/1.1 200 OK\r\nx-request-id: r1\r\nprefer: nothing\r\ncontent-length: 2\r\n{date}\r\n{{}}");
    assert_eq!(written(response(), false), expected);
    clock.advance(DATE_AGE_MAX - Duration::from_millis(1));
    assert!(written(response(), false).contains(date), "not every time anew");
    clock.advance(Duration::from_millis(1));
    assert!(written(response(), false).contains("02:03:05 GMT"));
    let mut last = response();
    last.headers_mut().insert(CONNECTION, "close".parse().unwrap());
    assert_eq!(written(last, true).matches("connection: close\r\n").count(), 1);
}

#[test]
fn an_answer_that_goes_on_has_no_length() {
    let mut response = Response::new(Outgoing::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(CONNECTION, "upgrade".parse().unwrap());
    let written = written(response, Clock::system().moment(), false);
    assert!(
        written.starts_with("HTTP/1.1 101 Switching Protocols\r\nx-request-id: r1\r\nconnection: upgrade\r\ndate: "),
        "{written}"
    );
    assert!(!written.contains("content-length"));
}
