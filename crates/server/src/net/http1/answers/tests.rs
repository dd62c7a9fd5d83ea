use clock::Clock;
use hyper::Response;
use hyper::header::HeaderValue;

use super::*;
use crate::net::outgoing::Outgoing;

fn answer(response: Response<Outgoing>) -> Answer {
    Answer { response, id: HeaderValue::from_static("r1"), upgrade: None }
}

#[test]
fn answers_wait_for_so_many_others_and_for_one_that_waits() {
    let at = Clock::system().moment();
    let put = |answers: &mut Answers| answers.put(&answer(Response::new(Outgoing::default())), at, false);
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
