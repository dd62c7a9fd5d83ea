//! What tests of the store are made of.

use jiff::Timestamp;
use protocol::id::{CustomerId, EventId, NegotiatorId, Recipient};

use crate::missed::{NewMissed, Page};

pub(crate) const ALL: Page = Page { product: None, after: None, size: 100 };

pub(crate) fn recipient(customer: &str, negotiator: &str) -> Recipient {
    Recipient { customer: CustomerId::parse(customer).unwrap(), negotiator: NegotiatorId::parse(negotiator).unwrap() }
}

pub(crate) fn adv() -> Recipient {
    recipient("SBOX", "ADV")
}

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

pub(crate) fn call(of: Recipient, second: i64) -> NewMissed {
    call_for(of, second, "AgencyCloud")
}

pub(crate) fn call_for(of: Recipient, second: i64, product: &str) -> NewMissed {
    NewMissed {
        customer: of.customer,
        negotiators: vec![of.negotiator],
        id: EventId::new(u64::try_from(second).unwrap() * 1000, [9; 10]),
        created: at(second),
        notification: format!(r#"{{"products":["{product}"]}}"#),
        claim: None,
        enqueue: None,
    }
}
