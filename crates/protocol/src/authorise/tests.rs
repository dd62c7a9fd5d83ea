use proptest::prelude::*;

use super::*;

fn customer(text: &str) -> CustomerId {
    CustomerId::parse(text).unwrap()
}

fn person(of: CustomerId) -> Identity {
    let negotiator = NegotiatorId::parse("ADV").unwrap();
    Identity::Person(Recipient { customer: of, negotiator }, Product::parse("AgencyCloud").unwrap())
}

fn caller(identity: Identity, scopes: &[&str]) -> Caller {
    let scopes = scopes.iter().map(|&scope| scope.to_owned()).collect();
    Caller { client_id: ClientId::parse("app").ok().map(Box::new), scopes, identity, expires: Timestamp::MAX }
}

fn application(scopes: &[&str], customers: &[CustomerId]) -> Application {
    Application {
        client_id: ClientId::parse("app").unwrap(),
        scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
        customers: customers.iter().copied().collect(),
    }
}

const WRITE: &str = "notifications.telephony.write";

#[test]
fn an_application_says_for_which_customer_it_speaks() {
    let application = caller(Identity::Application, &[]);
    assert_eq!(application.speaks_for(None), Err(Refusal::CustomerMissing));
    assert_eq!(application.speaks_for(Some(customer("SBOX"))), Ok(customer("SBOX")));
}

#[test]
fn a_scope_counts_when_the_token_has_it_and_it_was_granted() {
    let sbox = customer("SBOX");
    let with = caller(Identity::Application, &[WRITE]);
    let without = caller(Identity::Application, &["notifications.telephony.read"]);
    let granted = application(&[WRITE], &[sbox]);
    let not_granted = application(&[], &[sbox]);
    let scope = Err(Refusal::Scope(Scope::TelephonyWrite));
    let permit =
        |caller: &Caller, stored: Option<&Application>| caller.permit(Scope::TelephonyWrite, sbox, Grant::Stored(stored));
    assert_eq!(permit(&with, Some(&granted)), Ok(()));
    assert_eq!(permit(&without, Some(&granted)), scope);
    assert_eq!(permit(&with, Some(&not_granted)), scope);
    assert_eq!(permit(&with, None), Err(Refusal::NotInstalled(sbox)));
    assert_eq!(without.permit(Scope::TelephonyWrite, sbox, Grant::Everything), scope);
    let nobody = Caller { client_id: None, ..with };
    assert_eq!(nobody.permit(Scope::TelephonyWrite, sbox, Grant::Everything), Err(Refusal::NoApplication));
}

proptest! {
    #[test]
    fn a_token_of_one_customer_never_speaks_for_another(own in "[A-Z]{2,4}", named in proptest::option::of("[A-Z]{2,4}")) {
        let (own, named) = (customer(&own), named.as_deref().map(customer));
        for identity in [person(own), Identity::Customer(own)] {
            match caller(identity, &[WRITE]).speaks_for(named) {
                Ok(spoken_for) => prop_assert_eq!(spoken_for, own),
                Err(refusal) => prop_assert!(named.is_some_and(|named| named != own && refusal == Refusal::CustomerForeign(named))),
            }
        }
    }

    #[test]
    fn an_application_reaches_only_customers_that_installed_it(
        installed in proptest::collection::btree_set("[A-C]{2,3}", 0..4),
        named in "[A-C]{2,3}",
    ) {
        let installed: Vec<_> = installed.iter().map(|text| customer(text)).collect();
        let stored = application(&[WRITE], &installed);
        let permitted = caller(Identity::Application, &[WRITE]).permit(Scope::TelephonyWrite, customer(&named), Grant::Stored(Some(&stored)));
        prop_assert_eq!(permitted.is_ok(), installed.contains(&customer(&named)));
    }
}
