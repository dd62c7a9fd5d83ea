//! What is of the file itself: its folder, its log, its damage, its writer.

use std::path::Path;

use prometheus_client::registry::Registry;
use protocol::id::Recipient;

use super::Sqlite;
use crate::Config;
use crate::error::{OpenError, StoreError};
use crate::handover::Handover;
use crate::memory::Memory;
use crate::metrics::Metrics;
use crate::missed::{Listed, NewMissed};
use crate::purge::Whose;
use crate::tests::support::{ALL, adv, call};

fn open(folder: &Path, config: Config) -> Result<Sqlite, OpenError> {
    Sqlite::open(folder, config, Memory::default(), Metrics::register(&mut Registry::default()))
}

fn fresh() -> (tempfile::TempDir, Sqlite) {
    fresh_with(Config::default())
}

fn fresh_with(config: Config) -> (tempfile::TempDir, Sqlite) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), config).unwrap();
    (folder, store)
}

async fn list(store: &Sqlite, of: Recipient) -> Listed {
    store.list_missed(of, ALL).await.unwrap()
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
async fn the_log_stays_small_and_a_closed_store_is_one_file() {
    let (folder, store) = fresh_with(Config { keep_count: 0, ..Config::default() });
    let log = folder.path().join("bellwire.sqlite-wal");
    for second in 1..=400 {
        let big = NewMissed { notification: format!(r#"{{"products":["{}"]}}"#, "x".repeat(200_000)), ..call(adv(), second) };
        store.add_missed(big).await.unwrap();
        assert!(std::fs::metadata(&log).unwrap().len() < 2 * super::writer::LOG_BYTES);
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
        store.write(run, |_| ())
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
    let wrong = store.write(|transaction| transaction.execute("INSERT INTO nowhere VALUES (1)", ()), |_| ());
    let (wrong, right) = tokio::join!(wrong, store.add_missed(call(adv(), 1)));
    assert!(matches!(wrong, Err(StoreError::Failed(_))));
    assert!(right.is_ok());
}

#[tokio::test]
async fn a_full_queue_refuses_and_a_closed_store_does_too() {
    let (_folder, store) = fresh_with(Config { queue_max: 1, ..Config::default() });
    let (hold, held) = std::sync::mpsc::channel::<()>();
    let (running, runs) = std::sync::mpsc::channel::<()>();
    let slow = store.write(
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
    let slow = store.writer.write(long, hold_up, |_| ());
    let waiting = async {
        tokio::task::spawn_blocking(move || runs.recv()).await.unwrap().unwrap();
        let given_up = store.add_missed(call(adv(), 1)).await;
        hold.send(()).unwrap();
        given_up
    };
    let (slow, given_up) = tokio::join!(biased; slow, waiting);
    assert!(slow.is_ok() && matches!(given_up, Err(StoreError::Busy)));
    store.writer.write(long, |_| Ok(()), |()| ()).await.unwrap();
    assert!(list(&store, adv()).await.calls.is_empty(), "refused means that nothing happened");
}

#[tokio::test]
async fn a_state_that_cannot_be_read_does_not_take_the_others_along() {
    let (folder, store) = fresh();
    let states = vec![(adv(), "a".to_owned())];
    store.save_handover(Handover { states: states.clone(), ..Handover::default() }).await.unwrap();
    drop(store);
    let file = rusqlite::Connection::open(folder.path().join("bellwire.sqlite")).unwrap();
    file.execute("INSERT INTO resume VALUES ('no customer', 'ADV', 'b')", ()).unwrap();
    drop(file);
    let store = open(folder.path(), Config::default()).unwrap();
    assert_eq!(store.take_handover().await.unwrap().states, states);
}
