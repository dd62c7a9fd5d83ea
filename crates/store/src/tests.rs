use std::collections::BTreeSet;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use prometheus_client::registry::Registry;
use proptest::prelude::*;
use protocol::id::{ClientId, CustomerId, EventId, IdempotencyKey, NegotiatorId, Product, Recipient};

use crate::applications::Installed;
use crate::error::{OpenError, StoreError};
use crate::handover::Handover;
use crate::idempotency::{Claim, Claimed, IDEMPOTENCY_KEY_AGE_MAX};
use crate::metrics::Metrics;
use crate::missed::{Listed, NewMissed, Page};
use crate::purge::Whose;
use crate::{Config, Store};

const ALL: Page = Page { product: None, after: None, size: 100 };

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

fn recipient(customer: &str, negotiator: &str) -> Recipient {
    Recipient { customer: CustomerId::parse(customer).unwrap(), negotiator: NegotiatorId::parse(negotiator).unwrap() }
}

fn adv() -> Recipient {
    recipient("SBOX", "ADV")
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn call(of: Recipient, second: i64) -> NewMissed {
    call_for(of, second, "AgencyCloud")
}

fn call_for(of: Recipient, second: i64, product: &str) -> NewMissed {
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
async fn a_second_process_on_the_folder_is_refused() {
    let (folder, store) = fresh();
    let second = open(folder.path(), Config::default());
    assert!(matches!(second, Err(OpenError::Locked { .. })));
    assert!(second.unwrap_err().to_string().contains("in use by another bellwire process"));
    drop(store);
    assert!(open(folder.path(), Config::default()).is_ok());
}

#[tokio::test]
async fn a_folder_of_somebody_else_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("letter.txt"), "").unwrap();
    assert!(matches!(open(folder.path(), Config::default()), Err(OpenError::Foreign { .. })));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
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

#[tokio::test]
async fn the_log_stays_small_and_a_closed_store_is_one_file() {
    let (folder, store) = fresh_with(Config { keep_count: 0, ..Config::default() });
    let log = folder.path().join("bellwire.sqlite-wal");
    for second in 1..=400 {
        let big = NewMissed { notification: format!(r#"{{"products":["{}"]}}"#, "x".repeat(200_000)), ..call(adv(), second) };
        store.add_missed(big).await.unwrap();
        assert!(std::fs::metadata(&log).unwrap().len() < 2 * crate::writer::LOG_BYTES);
    }
    store.close();
    assert_eq!(std::fs::metadata(&log).map_or(0, |log| log.len()), 0);
}

#[tokio::test]
async fn what_was_purged_is_gone_from_the_log_when_the_purge_is_answered() {
    let (folder, store) = fresh();
    let log = folder.path().join("bellwire.sqlite-wal");
    for second in 1..=20 {
        store.add_missed(call(adv(), second)).await.unwrap();
        let Recipient { customer, negotiator } = adv();
        store.purge_missed(Whose { customer, negotiator: Some(negotiator) }, None).await.unwrap();
        assert_eq!(std::fs::metadata(&log).unwrap().len(), 0);
    }
}

#[tokio::test]
async fn the_folder_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, _store) = fresh();
    assert_eq!(std::fs::metadata(folder.path()).unwrap().permissions().mode() & 0o777, 0o700);
}

#[tokio::test]
async fn a_damaged_file_and_a_foreign_one_are_refused_with_what_to_do() {
    let (folder, store) = fresh();
    for second in 1..=500 {
        store.add_missed(call(adv(), second)).await.unwrap();
    }
    drop(store);
    let file = folder.path().join("bellwire.sqlite");
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..].fill(0x5a);
    std::fs::write(&file, &bytes).unwrap();
    let refusal = open(folder.path(), Config::default()).unwrap_err();
    assert!(matches!(refusal, OpenError::Corrupt { .. }) && refusal.to_string().contains("restore a backup"), "{refusal}");

    std::fs::write(&file, b"this is no database at all, but a text that is long enough to be looked at").unwrap();
    assert!(matches!(open(folder.path(), Config::default()), Err(OpenError::Corrupt { .. })));

    std::fs::remove_file(&file).unwrap();
    rusqlite::Connection::open(&file).unwrap().execute_batch("CREATE TABLE other (x)").unwrap();
    assert!(matches!(open(folder.path(), Config::default()), Err(OpenError::Corrupt { .. })));
}

#[tokio::test]
async fn tables_of_a_newer_program_are_refused_with_both_versions() {
    let (folder, store) = fresh();
    drop(store);
    let file = folder.path().join("bellwire.sqlite");
    rusqlite::Connection::open(file).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let refusal = open(folder.path(), Config::default()).unwrap_err().to_string();
    assert!(refusal.contains("version 99") && refusal.contains("up to 6"), "{refusal}");
}

#[tokio::test]
async fn a_full_disk_refuses_and_takes_again_when_there_is_room() {
    let (folder, store) = fresh();
    store.add_missed(call(adv(), 1)).await.unwrap();
    let limit_pages = |pages: &'static str| {
        let run = move |transaction: &rusqlite::Transaction<'_>| {
            transaction.query_row(&format!("PRAGMA max_page_count = {pages}"), (), |row| row.get::<_, i64>(0))
        };
        store.shared.writer.write(store.shared.config.timeout, run, |_| ())
    };
    let pages = limit_pages("1").await.unwrap();
    let big = || NewMissed { notification: format!(r#"{{"products":["{}"]}}"#, "x".repeat(300_000)), ..call(adv(), 2) };
    assert!(matches!(store.add_missed(big()).await, Err(StoreError::Full)), "limit {pages}");
    assert_eq!(list(&store, adv()).await.calls.len(), 1);
    limit_pages("1000000").await.unwrap();
    assert!(store.is_sound());
    store.add_missed(big()).await.unwrap();
    drop(store);
    assert_eq!(list(&open(folder.path(), Config::default()).unwrap(), adv()).await.calls.len(), 2);
}

#[tokio::test]
async fn a_job_that_fails_does_not_take_its_neighbours_with_it() {
    let (_folder, store) = fresh();
    let wrong = store.shared.writer.write(
        store.shared.config.timeout,
        |transaction| transaction.execute("INSERT INTO nowhere VALUES (1)", ()),
        |_| (),
    );
    let (wrong, right) = tokio::join!(wrong, store.add_missed(call(adv(), 1)));
    assert!(matches!(wrong, Err(StoreError::Sqlite(_))));
    assert!(right.is_ok());
}

#[tokio::test]
async fn a_full_queue_refuses_and_a_closed_store_does_too() {
    let (_folder, store) = fresh_with(Config { queue_max: 1, ..Config::default() });
    let (hold, held) = std::sync::mpsc::channel::<()>();
    let (running, runs) = std::sync::mpsc::channel::<()>();
    let slow = store.shared.writer.write(
        store.shared.config.timeout,
        move |_| {
            running.send(()).ok();
            Ok(held.recv().is_ok())
        },
        |_| (),
    );
    let rest = async {
        tokio::task::spawn_blocking(move || runs.recv()).await.unwrap().unwrap();
        let waiting = store.add_missed(call(adv(), 1));
        let refused = async {
            let refused = store.add_missed(call(adv(), 2)).await;
            hold.send(()).unwrap();
            refused
        };
        tokio::join!(biased; waiting, refused)
    };
    let (slow, (waiting, refused)) = tokio::join!(slow, rest);
    assert!(slow.is_ok() && waiting.is_ok());
    assert!(matches!(refused, Err(StoreError::Busy)));
    store.close();
    assert!(matches!(store.add_missed(call(adv(), 3)).await, Err(StoreError::Closed)));
}

#[tokio::test]
async fn a_write_that_was_given_up_is_never_done() {
    let (_folder, store) = fresh_with(Config { timeout: std::time::Duration::from_millis(50), ..Config::default() });
    let (hold, held) = std::sync::mpsc::channel::<()>();
    let (running, runs) = std::sync::mpsc::channel::<()>();
    let long = std::time::Duration::from_secs(20);
    let hold_up = move |_: &rusqlite::Transaction<'_>| {
        running.send(()).ok();
        Ok(held.recv().is_ok())
    };
    let slow = store.shared.writer.write(long, hold_up, |_| ());
    let waiting = async {
        tokio::task::spawn_blocking(move || runs.recv()).await.unwrap().unwrap();
        let given_up = store.add_missed(call(adv(), 1)).await;
        hold.send(()).unwrap();
        given_up
    };
    let (slow, given_up) = tokio::join!(biased; slow, waiting);
    assert!(slow.is_ok() && matches!(given_up, Err(StoreError::Busy)));
    store.shared.writer.write(long, |_| Ok(()), |()| ()).await.unwrap();
    assert!(list(&store, adv()).await.calls.is_empty(), "refused means that nothing happened");
}

#[derive(Debug, Clone)]
enum Step {
    Add { customer: usize, negotiators: Vec<usize> },
    Delete { customer: usize, place: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let negotiators = proptest::collection::btree_set(0..3_usize, 1..3).prop_map(|set| set.into_iter().collect());
    prop_oneof![
        (0..2_usize, negotiators).prop_map(|(customer, negotiators)| Step::Add { customer, negotiators }),
        (0..2_usize, 0..8_usize).prop_map(|(customer, place)| Step::Delete { customer, place }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Two customers with negotiators of the same names, posts and deletions at random, against plain lists.
    #[test]
    fn tenants_never_mix(steps in proptest::collection::vec(step(), 1..30)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (_folder, store) = fresh();
            let names = ["ADV", "TST", "JAS"];
            let of = |customer: usize, negotiator: usize| recipient(["AAA", "BBB"][customer], names[negotiator]);
            let mut model = vec![vec![Vec::<i64>::new(); 3]; 2];
            let mut ids: Vec<(usize, EventId)> = Vec::new();
            for (second, step) in (1_i64..).zip(steps) {
                match step {
                    Step::Add { customer, negotiators } => {
                        let mut new = call(of(customer, 0), second);
                        new.negotiators = negotiators.iter().map(|&n| of(customer, n).negotiator).collect();
                        store.add_missed(new).await.unwrap();
                        for &n in &negotiators {
                            model[customer][n].push(second);
                            ids.push((customer, list(&store, of(customer, n)).await.calls.last().unwrap().id));
                        }
                    }
                    Step::Delete { customer, place } => {
                        let Some(&(owner, id)) = ids.get(place) else { continue };
                        let mut before = Vec::new();
                        for n in 0..3 { before.push(list(&store, of(owner, n)).await.calls); }
                        store.delete_missed(id, of(customer, 0).customer, None).await.unwrap();
                        if customer == owner {
                            for (n, calls) in before.iter().enumerate() {
                                if let Some(place) = calls.iter().position(|call| call.id == id) { model[owner][n].remove(place); }
                            }
                        }
                    }
                }
                for (customer, lists) in model.iter().enumerate() {
                    for (n, expected) in lists.iter().enumerate() {
                        let listed: Vec<_> = list(&store, of(customer, n)).await.calls.iter().map(|call| call.created.as_second()).collect();
                        assert_eq!(&listed, expected);
                    }
                }
            }
        });
    }
}
