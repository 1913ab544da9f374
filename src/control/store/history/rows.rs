//! The history in the store: a row for each revision, and one for each object that it changed.
//!
//! Both are written in the transaction of the change itself, and what is too much is forgotten in
//! it. A revision's SHA-256 covers its changes, so that one which is damaged is said, never used.

use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};

use super::{BYTES, Changed, Changes, Entry, REVISIONS};
use crate::control::api::shapes::Action;
use crate::control::store::kind;
use crate::control::store::schema::{Sum, sum};
use crate::mesh::ObjectRef;

/// The tables of the history.
pub(in crate::control::store) const TABLES: &str = "
CREATE TABLE revisions (
    revision INTEGER PRIMARY KEY, actor TEXT NOT NULL, at_ms INTEGER NOT NULL,
    note TEXT NOT NULL, bytes INTEGER, sha256 BLOB NOT NULL);
CREATE TABLE changes (
    revision INTEGER NOT NULL, kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
    action TEXT NOT NULL, before TEXT, created_ms INTEGER NOT NULL, sha256 BLOB NOT NULL,
    PRIMARY KEY (revision, kind, namespace, name)) WITHOUT ROWID;
";

/// What the row of a change takes beside its document, about.
const ROW: usize = 128;

/// A revision's row; `bytes` is `None` where its changes are not kept.
struct Line {
    revision: u64,
    actor: String,
    at_ms: u64,
    note: String,
    bytes: Option<u64>,
}

/// A change's row.
struct Step {
    kind: String,
    namespace: String,
    name: String,
    action: String,
    before: Option<String>,
    created_ms: u64,
}

impl Line {
    fn sum(&self, steps: &[Step]) -> Sum {
        let revision = self.revision.to_be_bytes();
        let steps: Vec<u8> = steps.iter().flat_map(|step| step.sum(self.revision)).collect();
        let bytes = self.bytes.map(u64::to_be_bytes);
        sum(&[
            &revision,
            self.actor.as_bytes(),
            &self.at_ms.to_be_bytes(),
            self.note.as_bytes(),
            bytes.as_ref().map_or(&[][..], |bytes| bytes),
            &steps,
        ])
    }

    fn save(&self, transaction: &Transaction<'_>, steps: &[Step]) -> rusqlite::Result<()> {
        let [revision, at_ms] = [self.revision, self.at_ms].map(u64::cast_signed);
        let bytes = self.bytes.map(u64::cast_signed);
        let sql = "INSERT OR REPLACE INTO revisions VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let row = params![revision, self.actor, at_ms, self.note, bytes, self.sum(steps)];
        transaction.execute(sql, row).map(|_| ())
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<(Self, Sum)> {
        let number = |index| row.get::<_, i64>(index).map(i64::cast_unsigned);
        let line = Self {
            revision: number(0)?,
            actor: row.get(1)?,
            at_ms: number(2)?,
            note: row.get(3)?,
            bytes: row.get::<_, Option<i64>>(4)?.map(i64::cast_unsigned),
        };
        Ok((line, row.get(5)?))
    }
}

impl Step {
    fn of(changed: &Changed) -> Self {
        let Changed { reference, action, before } = changed;
        Self {
            kind: reference.kind.as_str().to_owned(),
            namespace: reference.namespace.to_string(),
            name: reference.name.to_string(),
            action: action.as_str().to_owned(),
            before: before.as_ref().map(|(document, _)| document.to_string()),
            created_ms: before.as_ref().map_or(0, |(_, created_ms)| *created_ms),
        }
    }

    fn key(&self) -> [&str; 3] {
        [&self.kind, &self.namespace, &self.name]
    }

    fn bytes(&self) -> u64 {
        (ROW + self.before.as_ref().map_or(0, String::len)) as u64
    }

    fn sum(&self, revision: u64) -> Sum {
        let (there, before) = match &self.before {
            Some(before) => ("+", before.as_str()),
            None => ("-", ""),
        };
        sum(&[
            &revision.to_be_bytes(),
            self.kind.as_bytes(),
            self.namespace.as_bytes(),
            self.name.as_bytes(),
            self.action.as_bytes(),
            there.as_bytes(),
            before.as_bytes(),
            &self.created_ms.to_be_bytes(),
        ])
    }

    fn save(&self, transaction: &Transaction<'_>, revision: u64) -> rusqlite::Result<()> {
        let Self { kind, namespace, name, action, before, created_ms } = self;
        let sql = "INSERT INTO changes VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        let (number, created_ms) = (revision.cast_signed(), created_ms.cast_signed());
        let sum = self.sum(revision);
        let row = params![number, kind, namespace, name, action, before, created_ms, sum];
        transaction.execute(sql, row).map(|_| ())
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            kind: row.get(0)?,
            namespace: row.get(1)?,
            name: row.get(2)?,
            action: row.get(3)?,
            before: row.get(4)?,
            created_ms: row.get::<_, i64>(5)?.cast_unsigned(),
        })
    }

    fn changed(self) -> Option<Changed> {
        let reference = ObjectRef {
            kind: kind(&self.kind)?,
            namespace: self.namespace.parse().ok()?,
            name: self.name.parse().ok()?,
        };
        let before = match self.before {
            Some(text) => Some((serde_json::from_str(&text).ok()?, self.created_ms)),
            None => None,
        };
        Some(Changed { reference, action: Action::parse(&self.action)?, before })
    }
}

/// Writes a revision with its changes, and forgets what is then too much.
pub(in crate::control::store) fn save(
    transaction: &Transaction<'_>,
    entry: &Entry,
) -> rusqlite::Result<()> {
    let mut steps: Option<Vec<Step>> = match &entry.changes {
        Changes::Kept(changes) => Some(changes.iter().map(Step::of).collect()),
        Changes::Forgotten | Changes::Damaged => None,
    };
    // As they are read again: the sum is over them in this order.
    if let Some(steps) = &mut steps {
        steps.sort_by(|a, b| a.key().cmp(&b.key()));
    }
    let line = Line {
        revision: entry.revision,
        actor: entry.actor.clone(),
        at_ms: entry.at_ms,
        note: entry.note.clone(),
        bytes: steps.as_ref().map(|steps| steps.iter().map(Step::bytes).sum()),
    };
    let steps = steps.unwrap_or_default();
    for step in &steps {
        step.save(transaction, line.revision)?;
    }
    line.save(transaction, &steps)?;
    forget(transaction, line.revision)
}

/// Forgets lines beyond [`REVISIONS`], and changes beyond [`BYTES`].
fn forget(transaction: &Transaction<'_>, newest: u64) -> rusqlite::Result<()> {
    let last = newest.saturating_sub(REVISIONS).cast_signed();
    for table in ["revisions", "changes"] {
        transaction.execute(&format!("DELETE FROM {table} WHERE revision <= ?1"), [last])?;
    }
    let mut total = 0;
    for (mut line, _) in lines(transaction, "bytes IS NOT NULL", REVISIONS)? {
        total += line.bytes.unwrap_or_default();
        if total > BYTES {
            let sql = "DELETE FROM changes WHERE revision = ?1";
            transaction.execute(sql, [line.revision.cast_signed()])?;
            line.bytes = None;
            line.save(transaction, &[])?;
        }
    }
    Ok(())
}

/// Lines, newest first.
fn lines(connection: &Connection, which: &str, limit: u64) -> rusqlite::Result<Vec<(Line, Sum)>> {
    let sql = format!("SELECT * FROM revisions WHERE {which} ORDER BY revision DESC LIMIT ?1");
    let mut statement = connection.prepare(&sql)?;
    statement.query_map([limit.cast_signed()], Line::read)?.collect()
}

/// The last revisions, newest first.
pub(in crate::control::store) fn last(
    connection: &Connection,
    limit: u64,
) -> rusqlite::Result<Vec<Entry>> {
    let lines = lines(connection, "TRUE", limit.min(REVISIONS))?;
    lines.into_iter().map(|line| entry(connection, line)).collect()
}

/// One revision.
pub(in crate::control::store) fn read(
    connection: &Connection,
    revision: u64,
) -> rusqlite::Result<Option<Entry>> {
    let sql = "SELECT * FROM revisions WHERE revision = ?1";
    let line = connection.query_row(sql, [revision.cast_signed()], Line::read).optional()?;
    line.map(|line| entry(connection, line)).transpose()
}

fn entry(connection: &Connection, (line, written): (Line, Sum)) -> rusqlite::Result<Entry> {
    let sql = "SELECT kind, namespace, name, action, before, created_ms FROM changes
               WHERE revision = ?1 ORDER BY kind, namespace, name";
    let mut statement = connection.prepare(sql)?;
    let steps = statement.query_map([line.revision.cast_signed()], Step::read)?;
    let steps: Vec<Step> = steps.collect::<Result<_, _>>()?;
    let changes = match line.bytes {
        _ if line.sum(&steps) != written => Changes::Damaged,
        None => Changes::Forgotten,
        Some(_) => match steps.into_iter().map(Step::changed).collect() {
            Some(changes) => Changes::Kept(changes),
            None => Changes::Damaged,
        },
    };
    let Line { revision, actor, at_ms, note, .. } = line;
    Ok(Entry { revision, actor, at_ms, note, changes })
}

/// Makes the tables out of those of version 1, which had lines alone.
pub(in crate::control::store) fn from_lines(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute_batch("ALTER TABLE revisions RENAME TO lines")?;
    transaction.execute_batch(TABLES)?;
    let mut statement = transaction.prepare("SELECT revision, actor, at_ms, summary FROM lines")?;
    let rows = statement.query_map([], |row| {
        let number = |index| row.get::<_, i64>(index).map(i64::cast_unsigned);
        let (actor, note) = (row.get(1)?, row.get(3)?);
        Ok(Line { revision: number(0)?, actor, at_ms: number(2)?, note, bytes: None })
    })?;
    for line in rows {
        line?.save(transaction, &[])?;
    }
    drop(statement);
    transaction.execute_batch("DROP TABLE lines")
}
