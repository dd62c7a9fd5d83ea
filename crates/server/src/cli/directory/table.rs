//! The CSV files of a directory (RFC 4180), with a header row.

use std::collections::BTreeMap;

use csv::{ReaderBuilder, StringRecord, Writer};
use jiff::Timestamp;
use protocol::directory::{Person, Queue};
use protocol::fault::{Faults, shown};
use protocol::id::NegotiatorId;

const PEOPLE: [&str; 7] = ["negotiatorId", "name", "email", "extension", "number", "active", "vendorUser"];
const QUEUES: [&str; 3] = ["queue", "negotiatorId", "alias"];

/// A file, row by row: each cell by the name of its column.
struct Table<'a> {
    columns: &'a [&'a str],
    rows: Vec<Row>,
    places: Vec<Option<usize>>,
}

struct Row {
    /// Where it stands, counted from 1.
    line: u64,
    cells: StringRecord,
}

impl Row {
    /// Where it stands, as a fault says it.
    fn place(&self) -> String {
        format!("line {}", self.line)
    }
}

impl<'a> Table<'a> {
    fn read(text: &str, columns: &'a [&'a str], faults: &mut Faults) -> Self {
        // A file that a spreadsheet has written may begin with a mark of its encoding.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut reader = ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
        let headers = reader.headers().cloned().unwrap_or_default();
        for header in headers.iter().filter(|header| !columns.contains(&header.trim())) {
            faults.add("line 1", format!("the column {} is not known here; known are {}", shown(header), columns.join(", ")));
        }
        let places = columns.iter().map(|column| headers.iter().position(|header| header.trim() == *column)).collect();
        let mut rows = Vec::new();
        for record in reader.records() {
            match record {
                Ok(cells) => rows.push(Row { line: cells.position().map_or(0, csv::Position::line), cells }),
                Err(error) => faults.add("the file", error.to_string()),
            }
        }
        let table = Self { columns, rows, places };
        if table.place("negotiatorId").is_none() {
            faults.add("line 1", "the column negotiatorId is required");
        }
        table
    }

    fn place(&self, column: &str) -> Option<usize> {
        let index = self.columns.iter().position(|other| *other == column)?;
        self.places.get(index).copied().flatten()
    }

    fn cell<'r>(&self, row: &'r Row, column: &str) -> &'r str {
        self.place(column).and_then(|place| row.cells.get(place)).unwrap_or_default().trim()
    }
}

/// The people of a file; rows of the same negotiator add extensions, numbers and names.
pub(super) fn people(text: &str) -> Result<Vec<Person>, Faults> {
    let mut faults = Faults::default();
    let table = Table::read(text, &PEOPLE, &mut faults);
    let (mut people, mut places) = (Vec::<Person>::new(), BTreeMap::new());
    for row in &table.rows {
        let negotiator_id = match NegotiatorId::parse(table.cell(row, "negotiatorId")) {
            Ok(negotiator_id) => negotiator_id,
            Err(error) => {
                faults.add(row.place(), format!("negotiatorId {error}, got {}", shown(table.cell(row, "negotiatorId"))));
                continue;
            }
        };
        let place = *places.entry(negotiator_id).or_insert_with(|| {
            people.push(nobody(negotiator_id));
            people.len() - 1
        });
        if let Some(person) = people.get_mut(place) {
            add(person, &table, row, &mut faults);
        }
    }
    if faults.is_empty() { Ok(people) } else { Err(faults) }
}

fn nobody(negotiator_id: NegotiatorId) -> Person {
    let (created, modified) = (Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
    let (extensions, numbers, vendor_users) = (Vec::new(), Vec::new(), Vec::new());
    Person { negotiator_id, name: String::new(), email: None, extensions, numbers, active: true, vendor_users, created, modified }
}

fn add(person: &mut Person, table: &Table<'_>, row: &Row, faults: &mut Faults) {
    let at = row.place();
    let cell = |column| table.cell(row, column);
    for (column, list) in
        [("extension", &mut person.extensions), ("number", &mut person.numbers), ("vendorUser", &mut person.vendor_users)]
    {
        let value = cell(column);
        if !value.is_empty() && !list.iter().any(|known| known == value) {
            list.push(value.to_owned());
        }
    }
    let (name, email) = (cell("name"), cell("email"));
    match (person.name.is_empty(), name.is_empty()) {
        (_, true) => {}
        (true, false) => name.clone_into(&mut person.name),
        (false, false) if person.name == name => {}
        (false, false) => faults.add(&at, format!("{} is {} above, here {}", person.negotiator_id, person.name, shown(name))),
    }
    match &person.email {
        _ if email.is_empty() => {}
        None => person.email = Some(email.to_owned()),
        Some(known) if known == email => {}
        Some(known) => faults.add(&at, format!("{} has the e-mail {known} above, here {}", person.negotiator_id, shown(email))),
    }
    match cell("active").to_ascii_lowercase().as_str() {
        "" => {}
        "true" | "yes" | "1" => person.active = true,
        "false" | "no" | "0" => person.active = false,
        other => faults.add(&at, format!("active must be true or false, got {}", shown(other))),
    }
}

/// The queues of a file: a row for each member.
pub(super) fn queues(text: &str) -> Result<Vec<Queue>, Faults> {
    let mut faults = Faults::default();
    let table = Table::read(text, &QUEUES, &mut faults);
    let mut queues = Vec::<Queue>::new();
    for row in &table.rows {
        let (name, alias, member) = (table.cell(row, "queue"), table.cell(row, "alias"), table.cell(row, "negotiatorId"));
        if name.is_empty() {
            faults.add(row.place(), "queue is required");
            continue;
        }
        let place = queues.iter().position(|queue| queue.names.first().is_some_and(|first| first == name));
        let place = place.unwrap_or_else(|| {
            queues.push(Queue { names: vec![name.to_owned()], members: Vec::new() });
            queues.len() - 1
        });
        let Some(queue) = queues.get_mut(place) else { continue };
        if !alias.is_empty() && !queue.names.iter().any(|known| known == alias) {
            queue.names.push(alias.to_owned());
        }
        match NegotiatorId::parse(member) {
            Ok(member) if queue.members.contains(&member) => {}
            Ok(member) => queue.members.push(member),
            // A row may name an alias alone.
            Err(_) if member.is_empty() && !alias.is_empty() => {}
            Err(error) => faults.add(row.place(), format!("negotiatorId {error}, got {}", shown(member))),
        }
    }
    if faults.is_empty() { Ok(queues) } else { Err(faults) }
}

/// Writes people as [`people`] reads them: as many rows for each as they have names.
pub(super) fn written(people: &[Person]) -> String {
    let mut writer = Writer::from_writer(Vec::new());
    let _infallible = writer.write_record(PEOPLE);
    for person in people {
        let rows = person.extensions.len().max(person.numbers.len()).max(person.vendor_users.len()).max(1);
        for row in 0..rows {
            let first = |text: &str| if row == 0 { text.to_owned() } else { String::new() };
            let nth = |list: &[String]| list.get(row).cloned().unwrap_or_default();
            let _infallible = writer.write_record([
                person.negotiator_id.to_string(),
                first(&person.name),
                first(person.email.as_deref().unwrap_or_default()),
                nth(&person.extensions),
                nth(&person.numbers),
                first(if person.active { "true" } else { "false" }),
                nth(&person.vendor_users),
            ]);
        }
    }
    #[expect(clippy::expect_used, reason = "an operator would take an empty file for an empty directory")]
    let text = writer.into_inner().ok().and_then(|bytes| String::from_utf8(bytes).ok()).expect("written to memory, from strings");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\u{feff}negotiatorId,name,email,extension,number,active,vendorUser\n\
        ADV,\"Doe, Andy\",andy@agency.example,101,+44 1234 1,true,b4df\n\
        JAS,Jane,,102,,no,\n\
        ADV,,,103,,,andy@pbx\n";

    #[test]
    fn what_is_written_is_read_again() {
        let read = people(FILE).unwrap();
        assert_eq!(read.iter().map(|person| person.negotiator_id.as_str()).collect::<Vec<_>>(), ["ADV", "JAS"]);
        let andy = &read[0];
        assert_eq!((andy.name.as_str(), &andy.extensions[..]), ("Doe, Andy", &["101".to_owned(), "103".to_owned()][..]));
        assert_eq!((andy.vendor_users.len(), read[1].active), (2, false));
        assert_eq!(people(&written(&read)).unwrap(), read);
    }

    #[test]
    fn each_fault_says_its_line() {
        let faulty = "negotiatorId,name,colour\nA,x,red\nADV,Andy,\nADV,Sandy,\n";
        let faults = people(faulty).unwrap_err();
        let told: Vec<_> = faults.as_slice().iter().map(|fault| format!("{}: {}", fault.field, fault.message)).collect();
        let known = PEOPLE.join(", ");
        assert_eq!(
            told,
            [
                format!("line 1: the column \"colour\" is not known here; known are {known}"),
                "line 2: negotiatorId must be 2 to 16 letters and digits, got \"A\"".to_owned(),
                "line 4: ADV is Andy above, here \"Sandy\"".to_owned(),
            ]
        );
        assert_eq!(people("name\nx\n").unwrap_err().as_slice()[0].message, "the column negotiatorId is required");
    }

    #[test]
    fn a_queue_has_a_row_for_each_member() {
        let read = queues("queue,negotiatorId,alias\nSales,ADV,6cb3\nSales,JAS,\nLettings,,+44 1\n").unwrap();
        assert_eq!(read[0].names, ["Sales", "6cb3"]);
        assert_eq!((read[0].members.len(), read[1].members.len()), (2, 0));
        assert_eq!(queues("queue,negotiatorId\nSales,?\n,ADV\n").unwrap_err().as_slice().len(), 2);
    }
}
