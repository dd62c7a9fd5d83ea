use clock::Clock;

use super::*;

fn answer(response: Response<Body>, now: Moment, is_last: bool) -> String {
    let mut text = Vec::new();
    put_answer(&mut text, response, &HeaderValue::from_static("r1"), now, is_last);
    String::from_utf8(text).unwrap()
}

#[test]
fn an_answer_says_what_the_library_would() {
    let at = "2026-11-23T02:03:04Z".parse().unwrap();
    let clock = Clock::stepped(at);
    let mut response = Response::new(Body::from("{}"));
    response.headers_mut().insert("prefer", "nothing".parse().unwrap());
    let date = "date: Mon, 23 Nov 2026 02:03:04 GMT\r\n";
    let written = |response, is_last| answer(response, clock.moment(), is_last);
    let expected = format!("HTTP/1.1 200 OK\r\nx-request-id: r1\r\nprefer: nothing\r\ncontent-length: 2\r\n{date}\r\n{{}}");
    assert_eq!(written(response.clone(), false), expected);
    clock.advance(DATE_AGE_MAX - Duration::from_millis(1));
    assert!(written(response.clone(), false).contains(date), "not every time anew");
    clock.advance(Duration::from_millis(1));
    assert!(written(response.clone(), false).contains("02:03:05 GMT"));
    response.headers_mut().insert(CONNECTION, "close".parse().unwrap());
    assert_eq!(written(response, true).matches("connection: close\r\n").count(), 1);
}

#[test]
fn an_answer_that_goes_on_has_no_length() {
    let mut response = Response::new(Body::default());
    *response.status_mut() = hyper::StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(CONNECTION, "upgrade".parse().unwrap());
    let written = answer(response, Clock::system().moment(), false);
    assert!(
        written.starts_with("HTTP/1.1 101 Switching Protocols\r\nx-request-id: r1\r\nconnection: upgrade\r\ndate: "),
        "{written}"
    );
    assert!(!written.contains("content-length"));
}

#[test]
fn answers_wait_for_so_many_others_and_for_one_that_waits() {
    let at = Clock::system().moment();
    let put = |answers: &mut Answers| answers.put(Response::new(Body::default()), &HeaderValue::from_static("r1"), at, false);
    let mut answers = Answers::default();
    (1..TOGETHER_MAX).for_each(|_| put(&mut answers));
    assert!(!answers.are_due());
    put(&mut answers);
    assert!(answers.are_due());
    let mut answers = Answers::default();
    answers.have_waited();
    put(&mut answers);
    assert!(answers.are_due());
}
