//! What every engine keeps to, through the front.

pub(crate) mod support; // what tests of the store are made of
mod tenants; // customers never mix, whatever is done

use std::collections::BTreeSet;
use std::path::Path;

use jiff::SignedDuration;
use prometheus_client::registry::Registry;
use protocol::id::{ClientId, IdempotencyKey, NegotiatorId, Product, Recipient};

use self::support::{ALL, adv, at, call, call_for, recipient};
use crate::applications::Installed;
use crate::error::OpenError;
use crate::handover::Handover;
use crate::idempotency::{Claim, Claimed, IDEMPOTENCY_KEY_AGE_MAX};
use crate::metrics::Metrics;
use crate::missed::{Listed, NewMissed, Page};
use crate::{Config, Store};

fn open(folder: &Path, config: Config) -> Result<Store, OpenError> {
    Store::open(folder, config, Metrics::register(&mut Registry::default()))
}

fn fresh() -> (tempfile::TempDir, Store) {
    fresh_with(Config::default())
}

fn fresh_with(config: Config) -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), config).unwrap();
    (folder, store)
}

fn claim(key: &str, body: u8) -> Claim {
    Claim {
        client_id: ClientId::parse("app").unwrap(),
        customer: Some(adv().customer),
        key: IdempotencyKey::parse(key).unwrap(),
        body: [body; 32],
        answer: "first".to_owned(),
    }
}

async fn list(store: &Store, of: Recipient) -> Listed {
    store.list_missed(of, ALL).await.unwrap()
}

async fn etag(store: &Store, of: Recipient) -> String {
    let listed = list(store, of).await.version.to_string();
    assert_eq!(listed, store.missed_version(&of).to_string(), "memory and disk agree");
    listed
}

#[tokio::test]
async fn each_target_has_its_own_item_and_nobody_else_has_one() {
    let (_folder, store) = fresh();
    let mut new = call(adv(), 1);
    new.negotiators.push(NegotiatorId::parse("TST").unwrap());
    store.add_missed(new).await.unwrap();
    let (mine, theirs) = (list(&store, adv()).await, list(&store, recipient("SBOX", "TST")).await);
    assert_eq!((mine.calls.len(), theirs.calls.len()), (1, 1));
    assert_ne!(mine.calls[0].id, theirs.calls[0].id);
    assert!(list(&store, recipient("OTHER", "ADV")).await.calls.is_empty());
}

#[tokio::test]
async fn pages_follow_the_order_of_the_commits_though_the_clock_jumps_back_and_rows_go() {
    let (_folder, store) = fresh();
    for second in [100, 50, 100, 1] {
        store.add_missed(call(adv(), second)).await.unwrap();
    }
    let calls = list(&store, adv()).await.calls;
    assert_eq!(calls.iter().map(|call| call.created.as_second()).collect::<Vec<_>>(), [100, 50, 100, 1]);

    let page = store.list_missed(adv(), Page { size: 3, ..ALL }).await.unwrap();
    assert!(page.more && page.calls.len() == 3);
    let last = calls[3].id;
    store.delete_missed(last, adv().customer, None).await.unwrap();
    store.add_missed(call(adv(), 2)).await.unwrap();
    let later = store.list_missed(adv(), Page { after: Some(last), ..ALL }).await.unwrap();
    assert_eq!(later.calls.len(), 1, "later than an item that was taken away");
    assert!(!later.more);
}

#[tokio::test]
async fn a_product_sees_and_takes_away_only_what_named_it() {
    let (_folder, store) = fresh();
    store.add_missed(call_for(adv(), 1, "AgencyCloud")).await.unwrap();
    store.add_missed(call_for(adv(), 2, "PropertyCloud")).await.unwrap();
    let product = Product::parse("PropertyCloud").unwrap();
    let seen = store.list_missed(adv(), Page { product: Some(product), ..ALL }).await.unwrap().calls;
    assert_eq!(seen.len(), 1);
    let other = list(&store, adv()).await.calls[0].id;
    store.delete_missed(other, adv().customer, Some((adv().negotiator, product))).await.unwrap();
    assert_eq!(list(&store, adv()).await.calls.len(), 2, "not in a list that the product sees");
    store.delete_missed(seen[0].id, adv().customer, Some((adv().negotiator, product))).await.unwrap();
    assert_eq!(list(&store, adv()).await.calls.len(), 1);
}

#[tokio::test]
async fn another_customer_or_negotiator_takes_nothing_away() {
    let (_folder, store) = fresh();
    store.add_missed(call(adv(), 1)).await.unwrap();
    let (id, before) = (list(&store, adv()).await.calls[0].id, etag(&store, adv()).await);
    let product = Product::parse("AgencyCloud").unwrap();
    store.delete_missed(id, recipient("OTHER", "ADV").customer, None).await.unwrap();
    store.delete_missed(id, adv().customer, Some((recipient("SBOX", "TST").negotiator, product))).await.unwrap();
    assert_eq!(list(&store, adv()).await.calls.len(), 1);
    assert_eq!(etag(&store, adv()).await, before, "nothing changed");
}

#[tokio::test]
async fn an_etag_changes_with_its_list_only_and_survives_a_restart() {
    let (folder, store) = fresh();
    let empty = etag(&store, adv()).await;
    store.add_missed(call(adv(), 1)).await.unwrap();
    let one = etag(&store, adv()).await;
    store.add_missed(call(recipient("SBOX", "TST"), 1)).await.unwrap();
    assert_eq!(etag(&store, adv()).await, one);
    assert_ne!(one, empty);
    store.delete_missed(list(&store, adv()).await.calls[0].id, adv().customer, None).await.unwrap();
    assert_eq!(etag(&store, adv()).await, empty);
    store.add_missed(call(adv(), 2)).await.unwrap();
    let other = etag(&store, adv()).await;
    assert_ne!(other, one);
    store.close();
    drop(store);
    let store = open(folder.path(), Config::default()).unwrap();
    assert_eq!(etag(&store, adv()).await, other);
}

#[tokio::test]
async fn the_newest_are_kept_up_to_the_configured_count() {
    let (_folder, store) = fresh_with(Config { keep_count: 3, ..Config::default() });
    for second in 1..=3 {
        store.add_missed(call(adv(), second)).await.unwrap();
    }
    assert_eq!(list(&store, adv()).await.calls.len(), 3);
    store.add_missed(call(adv(), 4)).await.unwrap();
    let kept: Vec<_> = list(&store, adv()).await.calls.iter().map(|call| call.created.as_second()).collect();
    assert_eq!(kept, [2, 3, 4]);
}

#[tokio::test]
async fn what_is_older_than_the_configured_age_goes_and_no_more() {
    let age = Config::default().keep_age;
    let (_folder, store) = fresh();
    for second in [10, 11] {
        store.add_missed(call(adv(), second)).await.unwrap();
    }
    let before = etag(&store, adv()).await;
    let now = at(11).checked_add(age).unwrap();
    assert!(!store.sweep(now).await.unwrap());
    let kept: Vec<_> = list(&store, adv()).await.calls.iter().map(|call| call.created.as_second()).collect();
    assert_eq!(kept, [11]);
    assert_ne!(etag(&store, adv()).await, before);
}

#[tokio::test]
async fn a_key_is_good_for_one_body_for_ten_minutes_and_over_a_restart() {
    let (folder, store) = fresh();
    let with_key = |second, body| NewMissed { claim: Some(claim("k1", body)), ..call(adv(), second) };
    assert_eq!(store.add_missed(with_key(100, 1)).await.unwrap(), Claimed::First);
    assert_eq!(store.add_missed(with_key(101, 1)).await.unwrap(), Claimed::Repeated("first".to_owned()));
    assert_eq!(store.add_missed(with_key(102, 2)).await.unwrap(), Claimed::Conflict);
    drop(store);
    let store = open(folder.path(), Config::default()).unwrap();
    assert_eq!(store.known_idempotency_keys(at(103)).await.unwrap().len(), 1);
    assert_eq!(store.add_missed(with_key(103, 1)).await.unwrap(), Claimed::Repeated("first".to_owned()));
    assert_eq!(list(&store, adv()).await.calls.len(), 1);

    let over = at(100) + IDEMPOTENCY_KEY_AGE_MAX;
    assert!(store.known_idempotency_keys(over - SignedDuration::from_secs(1)).await.unwrap().len() == 1);
    assert!(store.known_idempotency_keys(over).await.unwrap().is_empty());
    assert_eq!(store.add_missed(with_key(over.as_second(), 2)).await.unwrap(), Claimed::First);
}

#[tokio::test]
async fn an_application_has_what_it_was_granted_and_is_installed_where_it_was() {
    let (folder, store) = fresh();
    let app = ClientId::parse("app").unwrap();
    assert_eq!(store.install(app, adv().customer).await.unwrap(), Installed::NoApplication);
    let scopes = BTreeSet::from(["notifications.telephony.write".to_owned()]);
    store.put_application(app, scopes.clone()).await.unwrap();
    assert_eq!(store.install(app, adv().customer).await.unwrap(), Installed::Done);
    assert_eq!(store.install(app, adv().customer).await.unwrap(), Installed::Done);
    drop(store);
    let stored = open(folder.path(), Config::default()).unwrap().application(&app).unwrap();
    assert_eq!((&stored.scopes, stored.customers.iter().copied().collect::<Vec<_>>()), (&scopes, vec![adv().customer]));
}

#[tokio::test]
async fn states_for_the_next_run_are_given_once() {
    let (folder, store) = fresh();
    let handover = |text: &str| Handover {
        states: vec![(adv(), text.to_owned())],
        receipts: vec![text.to_owned()],
        connectors: vec![(text.to_owned(), text.to_owned())],
    };
    store.save_handover(handover("old")).await.unwrap();
    store.save_handover(handover("new")).await.unwrap();
    drop(store);
    let store = open(folder.path(), Config::default()).unwrap();
    assert_eq!(store.take_handover().await.unwrap(), handover("new"));
    assert_eq!(store.take_handover().await.unwrap(), Handover::default());
}
