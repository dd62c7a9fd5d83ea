use super::*;

#[test]
fn the_hundred_says_what_the_client_does() {
    let expected = |code: u16| match code {
        1000 | 4000..=4099 => Reaction::Stop,
        1002 | 1003 | 1007 | 1009 => Reaction::ReportAndTryOnce,
        1011 | 1013 | 4100..=4199 => Reaction::BackOff,
        _ => Reaction::Resume,
    };
    for code in CloseCode::ALL {
        let (number, reason) = code.on_the_wire();
        assert_eq!(reaction(number), expected(number), "{code:?}");
        assert!(reason.len() <= 123, "RFC 6455 §5.5: a control frame carries 125 bytes");
    }
    for (code, reaction_there) in
        [(1006, Reaction::Resume), (4099, Reaction::Stop), (4100, Reaction::BackOff), (4200, Reaction::Resume)]
    {
        assert_eq!(reaction(code), reaction_there);
    }
}
