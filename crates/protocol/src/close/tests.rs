use super::*;

#[test]
fn the_hundred_says_what_the_client_does() {
    // The table itself is held against protocol/asyncapi.yaml; here are the edges of the hundreds.
    let edges = [
        (1006, Reaction::Resume),
        (3999, Reaction::Resume),
        (4000, Reaction::Stop),
        (4099, Reaction::Stop),
        (4100, Reaction::BackOff),
        (4199, Reaction::BackOff),
        (4200, Reaction::Resume),
        (4299, Reaction::Resume),
    ];
    for (code, expected) in edges {
        assert_eq!(reaction(code), expected, "{code}");
    }
}

#[test]
fn a_reason_fits_a_control_frame() {
    // RFC 6455 §5.5: 125 bytes, two of them the code.
    assert!(CloseCode::ALL.iter().all(|code| code.on_the_wire().1.len() <= 123));
}
