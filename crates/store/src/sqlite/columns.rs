//! Ids and times as they stand in columns.

use jiff::Timestamp;
use protocol::id::{CustomerId, NegotiatorId, Recipient};
use rusqlite::Row;
use rusqlite::types::Type;

/// Reads a recipient from two columns.
pub(super) fn recipient(row: &Row<'_>, customer: usize, negotiator: usize) -> rusqlite::Result<Recipient> {
    let invalid = |column| move |error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error));
    Ok(Recipient {
        customer: CustomerId::parse(&row.get::<_, String>(customer)?).map_err(invalid(customer))?,
        negotiator: NegotiatorId::parse(&row.get::<_, String>(negotiator)?).map_err(invalid(negotiator))?,
    })
}

/// Returns the time that stands in a column as Unix milliseconds.
pub(super) fn moment(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH)
}
