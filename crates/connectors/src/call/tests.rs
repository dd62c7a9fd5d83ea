use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn names(users: &[&str]) -> Vec<Party> {
    users.iter().map(|user| known(user)).collect()
}

fn known(user: &str) -> Party {
    Party::Known(user.to_owned())
}

fn fact(second: i64, what: What) -> Fact {
    let numbers = Some(("+44".to_owned(), String::new()));
    Fact { call: "c".to_owned(), at: at(second), what, numbers, hunt_group: false }
}

fn rings(second: i64, users: &[&str]) -> Fact {
    fact(second, What::Rings(names(users)))
}

fn connected(second: i64, user: &str) -> Fact {
    fact(second, What::Connected(known(user)))
}

fn left(second: i64, user: &str) -> Fact {
    fact(second, What::Left(names(&[user])))
}

/// What is done for each fact, in short: `incoming ADV,JAS`.
fn told(facts: &[Fact]) -> Vec<String> {
    let mut call = Call::default();
    let actions = facts.iter().flat_map(|fact| call.take(fact, &[])).collect::<Vec<_>>();
    let short = |action: &Action| match action {
        Action::Retract { negotiator, .. } => format!("retract {negotiator}"),
        Action::Post(post) => {
            let by = post.answered_by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
            let name = post.sub_type.name().strip_suffix("Call").unwrap_or_default();
            format!("{name} {}{by}", post.targets.join(","))
        }
    };
    actions.iter().map(short).collect()
}

#[test]
fn a_call_that_is_answered_and_ends() {
    let facts = [rings(1, &["ADV"]), connected(3, "ADV"), left(9, "ADV")];
    assert_eq!(told(&facts), ["incoming ADV", "answered ADV by ADV", "ended ADV by ADV"]);
}

#[test]
fn a_call_that_nobody_answers_is_missed_by_those_for_whom_it_rang() {
    assert_eq!(told(&[rings(1, &["ADV", "JAS"]), fact(9, What::Over)]), ["incoming ADV,JAS", "missed ADV,JAS"]);
    assert_eq!(told(&[rings(1, &["ADV"]), left(9, "ADV"), fact(10, What::Over)]), ["incoming ADV", "missed ADV"]);
}

#[test]
fn a_group_sees_who_took_it_and_misses_nothing() {
    let facts = [rings(1, &["ADV", "JAS"]), connected(5, "JAS"), left(5, "ADV"), left(20, "JAS"), fact(20, What::Over)];
    assert_eq!(told(&facts), ["incoming ADV,JAS", "answered ADV,JAS by JAS", "ended ADV,JAS by JAS"]);
}

#[test]
fn who_let_it_ring_before_another_was_tried_has_missed_it() {
    let facts = [rings(1, &["ADV"]), left(10, "ADV"), rings(11, &["JAS"]), connected(15, "JAS"), fact(30, What::Over)];
    let expected = ["incoming ADV", "missed ADV", "incoming JAS", "answered JAS by JAS", "ended JAS by JAS"];
    assert_eq!(told(&facts), expected);
}

#[test]
fn a_call_that_is_put_through_rings_again_and_may_come_back() {
    let facts = [
        rings(1, &["ADV"]),
        connected(3, "ADV"),
        rings(10, &["JAS"]),
        connected(12, "JAS"),
        left(12, "ADV"),
        rings(20, &["ADV"]),
        connected(22, "ADV"),
        left(22, "JAS"),
        fact(40, What::Over),
    ];
    let expected = [
        "incoming ADV",
        "answered ADV by ADV",
        "incoming JAS",
        "answered JAS by JAS",
        "ended ADV by ADV",
        "incoming ADV",
        "answered ADV by ADV",
        "ended JAS by JAS",
        "ended ADV by ADV",
    ];
    assert_eq!(told(&facts), expected);
}

#[test]
fn a_queue_that_overflows_leaves_those_who_did_not_answer_with_a_missed_call() {
    let facts =
        [rings(1, &["ADV", "JAS"]), fact(10, What::Unanswered), rings(11, &["TST"]), connected(13, "TST"), fact(20, What::Over)];
    let expected = ["incoming ADV,JAS", "missed ADV,JAS", "incoming TST", "answered TST by TST", "ended TST by TST"];
    assert_eq!(told(&facts), expected);
}

#[test]
fn what_comes_late_changes_what_is_missed_and_rings_nobody() {
    let in_order = [rings(1, &["ADV"]), connected(3, "ADV"), left(9, "ADV")];
    let [ringing, taken, gone] = &in_order;
    let in_reverse = [gone.clone(), taken.clone(), ringing.clone()];
    assert_eq!(told(&in_reverse), ["ended ADV"], "of what was before nothing was known");
    let late = [ringing.clone(), gone.clone(), taken.clone()];
    assert_eq!(told(&late), ["incoming ADV", "missed ADV", "retract ADV"]);
    assert_eq!(told(&[taken.clone(), ringing.clone()]), ["answered ADV by ADV"]);
    assert_eq!(told(&[gone.clone(), ringing.clone()]), ["ended ADV", "missed ADV"]);
}

#[test]
fn nobody_is_told_before_it_is_known_who_calls() {
    let agent = Fact { numbers: None, ..rings(1, &["ADV"]) };
    let known = fact(0, What::Known);
    assert_eq!(told(std::slice::from_ref(&agent)), [""; 0]);
    assert_eq!(told(&[agent, known]), ["incoming ADV"]);
}

#[test]
fn who_took_it_is_not_said_where_it_is_not_known() {
    let both = names(&["ADV", "JAS"]);
    let facts = [rings(1, &["ADV", "JAS"]), fact(3, What::Taken(both.clone())), fact(9, What::Left(both))];
    assert_eq!(told(&facts), ["incoming ADV,JAS", "answered ADV,JAS", "ended ADV,JAS"]);
}

#[test]
fn a_hundred_are_told_at_once_and_more_in_turn() {
    let users: Vec<_> = (0..101).map(|number| Party::Known(format!("N{number:03}"))).collect();
    let mut call = Call::default();
    let actions = call.take(&fact(1, What::Rings(users)), &[]);
    let counts: Vec<_> =
        actions.iter().map(|action| if let Action::Post(post) = action { post.targets.len() } else { 0 }).collect();
    assert_eq!(counts, [100, 1]);
}

fn unanswered(second: i64, user: &str) -> Fact {
    fact(second, What::NotAnswered(names(&[user])))
}

#[test]
fn one_who_is_rung_twice_has_missed_it_once_or_not_at_all() {
    let twice = [rings(1, &["ADV"]), unanswered(10, "ADV"), rings(11, &["ADV"]), unanswered(20, "ADV")];
    assert_eq!(told(&twice), ["incoming ADV", "missed ADV", "incoming ADV", "ended ADV"]);
    let then_taken = [rings(1, &["ADV"]), unanswered(10, "ADV"), rings(11, &["ADV"]), connected(12, "ADV")];
    assert_eq!(told(&then_taken), ["incoming ADV", "missed ADV", "incoming ADV", "retract ADV", "answered ADV by ADV"]);
}

#[test]
fn a_call_that_comes_back_to_one_was_not_missed_by_the_others() {
    let facts = [rings(1, &["ADV", "JAS"]), connected(5, "JAS"), unanswered(5, "ADV"), left(20, "JAS"), rings(30, &["JAS"])];
    assert_eq!(told(&facts), ["incoming ADV,JAS", "answered ADV,JAS by JAS", "ended ADV,JAS by JAS", "incoming JAS"]);
}

#[test]
fn what_is_late_belongs_to_the_ringing_of_its_time() {
    let facts = [rings(1, &["ADV"]), rings(20, &["ADV"]), unanswered(10, "ADV")];
    assert_eq!(told(&facts), ["incoming ADV", "missed ADV", "incoming ADV"]);
    let facts = [rings(1, &["ADV"]), left(10, "ADV"), rings(20, &["ADV"]), connected(5, "ADV")];
    assert_eq!(told(&facts), ["incoming ADV", "missed ADV", "incoming ADV", "retract ADV"]);
}

#[test]
fn somebody_who_is_no_negotiator_can_take_a_call() {
    let stranger = fact(5, What::Connected(Party::Unknown("temp".to_owned())));
    let facts = [rings(1, &["ADV", "JAS"]), stranger, unanswered(5, "ADV"), unanswered(5, "JAS"), fact(20, What::Over)];
    assert_eq!(told(&facts), ["incoming ADV,JAS", "answered ADV,JAS", "ended ADV,JAS"]);
}

#[test]
fn who_is_tried_next_does_not_take_a_missed_call_back() {
    let facts = [rings(1, &["ADV"]), unanswered(10, "ADV"), rings(11, &["JAS"]), connected(11, "JAS")];
    assert_eq!(told(&facts), ["incoming ADV", "missed ADV", "incoming JAS", "answered JAS by JAS"]);
}

#[test]
fn an_unanswered_call_is_missed_though_its_ringing_was_not_heard() {
    assert_eq!(told(&[unanswered(10, "ADV")]), ["missed ADV"]);
    assert_eq!(told(&[connected(5, "JAS"), unanswered(5, "ADV")]), ["answered JAS by JAS", "answered ADV by JAS"]);
    assert_eq!(told(&[unanswered(5, "ADV"), connected(5, "JAS")]), ["missed ADV", "retract ADV", "answered JAS by JAS"]);
}

#[test]
fn what_expired_was_missed_though_it_is_closed_later() {
    let both = names(&["ADV", "JAS"]);
    let facts = [rings(1, &["ADV", "JAS"]), fact(9, What::Unanswered), fact(9, What::Done(both.clone()))];
    assert_eq!(told(&facts), ["incoming ADV,JAS", "missed ADV,JAS"]);
    assert_eq!(told(&[rings(1, &["ADV", "JAS"]), fact(9, What::Done(both))]), ["incoming ADV,JAS", "ended ADV,JAS"]);
}

#[test]
fn an_agent_who_joins_pops_and_talks_and_misses_nothing_in_any_order() {
    let join = fact(3, What::Joined(known("ADV")));
    assert_eq!(told(std::slice::from_ref(&join)), ["incoming ADV", "answered ADV by ADV"]);
    assert_eq!(told(&[left(9, "ADV"), join]), ["ended ADV"]);
}

#[test]
fn one_to_whom_a_colleague_puts_the_call_through_is_rung_again() {
    let facts = [
        rings(1, &["ADV", "JAS"]),
        connected(5, "ADV"),
        rings(10, &["JAS"]),
        left(20, "ADV"),
        connected(24, "JAS"),
        fact(40, What::Over),
    ];
    let expected = [
        "incoming ADV,JAS",
        "answered ADV,JAS by ADV",
        "incoming JAS",
        "ended ADV by ADV",
        "answered JAS by JAS",
        "ended JAS by JAS",
    ];
    assert_eq!(told(&facts), expected);
    let facts = [rings(1, &["ADV", "JAS"]), connected(5, "ADV"), left(20, "ADV"), rings(21, &["JAS"]), unanswered(40, "JAS")];
    let expected = ["incoming ADV,JAS", "answered ADV,JAS by ADV", "ended ADV,JAS by ADV", "incoming JAS", "missed JAS"];
    assert_eq!(told(&facts), expected);
}

#[test]
fn a_hundred_tries_do_not_hide_the_answer() {
    let mut facts: Vec<_> = (0..100).flat_map(|try_| [rings(10 * try_, &["ADV"]), unanswered(10 * try_ + 5, "ADV")]).collect();
    facts.extend([rings(1_000, &["ADV"]), connected(1_003, "ADV")]);
    let told = told(&facts);
    assert_eq!(told[told.len() - 3..], ["incoming ADV", "retract ADV", "answered ADV by ADV"]);
}

#[test]
fn a_late_miss_takes_what_was_told_off_the_screen() {
    let facts = [rings(1, &["JAS"]), rings(11, &["ADV"]), connected(15, "ADV"), unanswered(10, "JAS")];
    let expected = ["incoming JAS", "incoming ADV", "answered ADV,JAS by ADV", "missed JAS", "ended JAS"];
    assert_eq!(told(&facts), expected);
}

#[test]
fn another_telephone_that_is_let_go_ends_no_talk() {
    let facts = [rings(1, &["ADV"]), connected(5, "ADV"), unanswered(6, "ADV"), left(60, "ADV")];
    assert_eq!(told(&facts), ["incoming ADV", "answered ADV by ADV", "ended ADV by ADV"]);
}
