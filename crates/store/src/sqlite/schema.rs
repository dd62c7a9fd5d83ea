//! The tables and their versions. A step is never changed once it was released; a new one is put behind it.

use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::error::{Refusal, failed};
use super::writer::LOG_BYTES;
use crate::error::OpenError;

/// `application_id` of the file, so that `file(1)` and we know whose it is: "bell".
const APPLICATION_ID: i64 = 0x6265_6c6c;

/// A file up to this size is read whole before a start, which takes a fraction of a second.
const CHECK_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Step `n` brings the tables from version `n` to `n + 1`.
const STEPS: [&str; 6] = [
    "
    CREATE TABLE store (
        id TEXT NOT NULL,              -- this folder's own mark
        change INTEGER NOT NULL,       -- how often a list was changed
        newest BLOB NOT NULL           -- the largest id that a missed call was given
    );
    INSERT INTO store VALUES (lower(hex(randomblob(8))), 0, zeroblob(16));

    CREATE TABLE missed (
        customer TEXT NOT NULL,
        negotiator TEXT NOT NULL,
        id BLOB NOT NULL,
        created INTEGER NOT NULL,      -- Unix milliseconds, when the broker took it
        notification TEXT NOT NULL,    -- {type, subType, products, payload}
        PRIMARY KEY (customer, negotiator, id)
    ) WITHOUT ROWID;
    CREATE UNIQUE INDEX missed_by_id ON missed (id);
    CREATE INDEX missed_by_age ON missed (created);

    -- The number of the last change of a list that is not empty. Numbers are never used again.
    CREATE TABLE mailbox (
        customer TEXT NOT NULL,
        negotiator TEXT NOT NULL,
        version INTEGER NOT NULL,
        PRIMARY KEY (customer, negotiator)
    ) WITHOUT ROWID;

    CREATE TABLE idempotency (
        client_id TEXT NOT NULL,
        customer TEXT NOT NULL,
        key TEXT NOT NULL,
        body BLOB NOT NULL,            -- SHA-256
        answer TEXT NOT NULL,
        created INTEGER NOT NULL,
        PRIMARY KEY (client_id, customer, key)
    ) WITHOUT ROWID;
    CREATE INDEX idempotency_by_age ON idempotency (created);

    CREATE TABLE application (client_id TEXT PRIMARY KEY NOT NULL, scopes TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE installation (
        client_id TEXT NOT NULL REFERENCES application (client_id),
        customer TEXT NOT NULL,
        PRIMARY KEY (client_id, customer)
    ) WITHOUT ROWID;
",
    "
    -- What a run of the node hands to the next one.
    CREATE TABLE resume (
        customer TEXT NOT NULL,
        negotiator TEXT NOT NULL,
        state TEXT NOT NULL,           -- JSON: ring and live calls
        PRIMARY KEY (customer, negotiator)
    ) WITHOUT ROWID;
",
    "
    -- The same, for what became of each event.
    CREATE TABLE resume_receipts (receipts TEXT NOT NULL);   -- JSON
",
    "
    -- What operators load as a whole: the directory of a customer, a connector.
    CREATE TABLE document (
        kind TEXT NOT NULL,
        id TEXT NOT NULL,
        text TEXT NOT NULL,            -- JSON
        PRIMARY KEY (kind, id)
    ) WITHOUT ROWID;
",
    "
    -- What a run hands to the next: the calls of each connector.
    CREATE TABLE resume_connector (id TEXT NOT NULL, state TEXT NOT NULL);   -- JSON
",
    "
    -- Events that subscribers are told: each stands here once, however many are told.
    CREATE TABLE webhook_event (
        number INTEGER PRIMARY KEY NOT NULL,
        taken INTEGER NOT NULL,        -- Unix milliseconds
        document TEXT NOT NULL         -- JSON
    );
    CREATE INDEX webhook_event_by_age ON webhook_event (taken);

    -- An event for an endpoint. It has a due time as long as it is queued, and only then.
    CREATE TABLE webhook_delivery (
        event INTEGER NOT NULL,
        endpoint INTEGER NOT NULL,
        state INTEGER NOT NULL,
        due INTEGER,                   -- Unix milliseconds
        failures INTEGER NOT NULL,     -- what the schedule goes by
        sends INTEGER NOT NULL,        -- what the receiver is told
        PRIMARY KEY (event, endpoint)
    ) WITHOUT ROWID;
    CREATE INDEX webhook_due ON webhook_delivery (endpoint, due) WHERE due IS NOT NULL;

    CREATE TABLE webhook_attempt (
        endpoint INTEGER NOT NULL,
        number INTEGER NOT NULL,       -- Unix microseconds, made unique
        event INTEGER NOT NULL,
        document TEXT NOT NULL,        -- JSON
        PRIMARY KEY (endpoint, number)
    ) WITHOUT ROWID;
    CREATE INDEX webhook_attempt_by_delivery ON webhook_attempt (event, endpoint);

    -- How many deliveries of an endpoint are queued.
    CREATE TABLE webhook_queue (endpoint INTEGER PRIMARY KEY NOT NULL, queued INTEGER NOT NULL);

    -- How many requests were sent for an application on a day (UTC).
    CREATE TABLE webhook_usage (
        application TEXT NOT NULL,
        day TEXT NOT NULL,
        sends INTEGER NOT NULL,
        PRIMARY KEY (application, day)
    ) WITHOUT ROWID;
",
];

/// How much of the file the writer keeps in memory, at most.
const CACHE_KIB: i64 = 32 * 1024;

/// Opens the database for writing: checked, private to its owner, at this program's version.
pub(super) fn open(path: &Path) -> Result<Connection, OpenError> {
    let connection = Connection::open(path).map_err(failed)?;
    prepare(&connection, path).map_err(|refusal| refusal.explain(path))?;
    Ok(connection)
}

fn prepare(connection: &Connection, path: &Path) -> Result<(), Refusal> {
    check(connection, path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "journal_size_limit", i64::try_from(LOG_BYTES).unwrap_or(i64::MAX))?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // The lists of negotiators lie all over the file: with SQLite's 2 MB each missed call read five pages again.
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.set_prepared_statement_cache_capacity(64);
    plan_once(connection)?;
    migrate(connection, path)
}

/// Keeps the plan of a statement whatever is bound to it; else each new value has it planned anew.
fn plan_once(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

/// Opens the database for reading.
pub(super) fn open_for_reading(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.set_prepared_statement_cache_capacity(64);
    plan_once(&connection)?;
    Ok(connection)
}

/// The folder's own mark.
pub(super) fn store_id(connection: &Connection) -> rusqlite::Result<String> {
    connection.query_row("SELECT id FROM store", (), |row| row.get(0))
}

/// Writes another mark for the folder, so that no ETag of before is good; and forgets what a run handed to the next one, which is of
/// another time.
pub(super) fn begin_anew(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "BEGIN IMMEDIATE;
         UPDATE store SET id = lower(hex(randomblob(8)));
         DELETE FROM resume; DELETE FROM resume_receipts; DELETE FROM resume_connector;
         COMMIT;
         PRAGMA journal_mode = DELETE;",
    )
}

/// Whether a file is a database of ours that this program can read, and whole.
pub(super) fn verify(path: &Path) -> Result<(), OpenError> {
    let verify = || {
        let connection = open_for_reading(path)?;
        let corrupt = |fault: String| OpenError::Corrupt { path: path.to_owned(), fault };
        let owner: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
        if owner != APPLICATION_ID {
            return Err(Refusal::from(corrupt("it is no database of bellwire".to_owned())));
        }
        check_version(&connection, path)?;
        check_whole(&connection)?.map_or(Ok(()), |fault| Err(corrupt(fault).into()))
    };
    verify().map_err(|refusal| refusal.explain(path))
}

/// The version of the tables, unless this program is too old for it.
fn check_version(connection: &Connection, path: &Path) -> Result<i64, Refusal> {
    let known = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if (0..=known).contains(&found) { Ok(found) } else { Err(OpenError::Newer { path: path.to_owned(), found, known }.into()) }
}

/// Whether the file is too large to be read whole before a start: it is checked while the node is at work.
pub(super) fn is_large(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|file| file.len() > CHECK_BYTES_MAX)
}

/// Reads the whole file and returns what is wrong with it first.
pub(super) fn check_whole(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let verdict: Option<String> = connection.query_row("PRAGMA quick_check(1)", (), |row| row.get(0)).optional()?;
    Ok(match verdict.as_deref() {
        Some("ok") => None,
        other => Some(other.unwrap_or("no verdict of quick_check").to_owned()),
    })
}

fn check(connection: &Connection, path: &Path) -> Result<(), Refusal> {
    let corrupt = |fault: String| OpenError::Corrupt { path: path.to_owned(), fault };
    if !is_large(path)
        && let Some(fault) = check_whole(connection)?
    {
        return Err(corrupt(fault).into());
    }
    let owner: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))?;
    match owner {
        APPLICATION_ID => Ok(()),
        0 if tables == 0 => Ok(connection.pragma_update(None, "application_id", APPLICATION_ID)?),
        _ => Err(corrupt("it is a database of another program".to_owned()).into()),
    }
}

fn migrate(connection: &Connection, path: &Path) -> Result<(), Refusal> {
    let found = check_version(connection, path)?;
    for (version, step) in (1_i64..).zip(STEPS).skip_while(|(version, _)| *version <= found) {
        connection.execute_batch(&format!("BEGIN IMMEDIATE; {step} PRAGMA user_version = {version}; COMMIT;"))?;
        tracing::info!(version, "store tables brought to a new version");
    }
    Ok(())
}
