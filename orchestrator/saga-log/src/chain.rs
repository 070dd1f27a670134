//! What ties a row to all rows before it: its append id is made of the id of the row before
//! and of everything that is in the row itself. So an append that names the id of the row it
//! builds on names a whole history, and a row that was changed or taken out of the middle of
//! a log can be seen by anyone who has the rows ([`Chain`]).
//!
//! It finds damage and careless hands. It is no seal: who can write to the database can make
//! all ids of a log anew. And the end of a log can be missing without a trace in it.

use bytes::Bytes;
use saga_core::{NodeId, SagaId};
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

use crate::store::{Append, IndexChange, LogRow};

/// Bytes of an append id that are random, so that two appends are never one even where they
/// say the same. The others are of the hash.
const NONCE_BYTES: usize = 4;

/// The last row of a saga's log, as far as somebody has seen it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tip {
    pub version: u64,
    pub append_id: Uuid,
}

/// What a row is to hold, before it has its place in a log.
#[derive(Clone, Debug)]
pub struct Draft {
    pub saga: SagaId,
    /// Who writes.
    pub writer: NodeId,
    /// The epoch of the log in which it was decided. 0: it holds whatever the log lost.
    pub log_epoch: u64,
    /// The clock of the writer, for people.
    pub at_ms: u64,
    /// One or more events, encoded.
    pub events: Bytes,
    pub index: IndexChange,
}

impl Draft {
    /// The append of this row behind `tip`; `None` makes the first row of a log.
    #[must_use]
    pub fn behind(self, tip: Option<Tip>) -> Append {
        let Self { saga, writer, log_epoch, at_ms, events, index } = self;
        let (version, after) = (tip.map_or(1, |tip| tip.version + 1), tip.map(|tip| tip.append_id));
        let mut append = Append {
            saga,
            version,
            after,
            writer,
            append_id: Uuid::nil(),
            log_epoch,
            at_ms,
            events,
            index,
        };
        let [.., a, b, c, d] = *Uuid::now_v7().as_bytes();
        append.append_id = append_id(&append, [a, b, c, d]);
        append
    }
}

/// The id of an append: a UUID of version 8, some of it `nonce`, the rest a hash of the nonce
/// and of all that the row holds or stands on.
fn append_id(append: &Append, nonce: [u8; NONCE_BYTES]) -> Uuid {
    let Append { saga, version, after, writer, at_ms, events, .. } = append;
    let hash = Sha256::new()
        .chain_update(nonce)
        .chain_update(after.unwrap_or_default())
        .chain_update(saga.0)
        .chain_update(version.to_be_bytes())
        .chain_update(writer.0)
        .chain_update(at_ms.to_be_bytes())
        .chain_update(events)
        .finalize();
    let mut bytes = [0; 16];
    bytes[..NONCE_BYTES].copy_from_slice(&nonce);
    bytes[NONCE_BYTES..].copy_from_slice(&hash[NONCE_BYTES..16]);
    Builder::from_custom_bytes(bytes).into_uuid()
}

impl Append {
    /// The end of the log once this append is done.
    #[must_use]
    pub fn tip(&self) -> Tip {
        Tip { version: self.version, append_id: self.append_id }
    }
}

impl LogRow {
    /// The end of the log whose last row this is.
    #[must_use]
    pub fn tip(&self) -> Tip {
        Tip { version: self.version, append_id: self.append_id }
    }
}

/// What a row says about itself and about the rows before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// It is as it was written, and so is all that it stands on.
    Whole,
    /// Its id is not made of its content: a program of before wrote it, so nothing is known.
    Unchained,
    /// It, or the row before it, is not what was written.
    Changed,
    /// Rows between the one before and this one are gone.
    Gap,
}

/// Goes through the log of a saga row by row, from the first on.
#[derive(Clone, Copy, Debug)]
pub struct Chain {
    saga: SagaId,
    tip: Option<Tip>,
}

impl Chain {
    /// Before the first row of a log.
    #[must_use]
    pub fn of(saga: SagaId) -> Self {
        Self { saga, tip: None }
    }

    /// Takes the next row. What it says is about this row and the ones before it; the rows
    /// behind a broken one are judged for themselves.
    pub fn follow(&mut self, row: &LogRow) -> Link {
        let before = self.tip.replace(row.tip());
        if row.version != before.map_or(1, |tip| tip.version + 1) {
            return Link::Gap;
        }
        if row.append_id.get_version_num() != 8 {
            return Link::Unchained;
        }
        let &LogRow { version, writer, append_id: found, at_ms, ref events } = row;
        let [a, b, c, d, ..] = *found.as_bytes();
        let written = Append {
            saga: self.saga,
            version,
            after: before.map(|tip| tip.append_id),
            writer,
            append_id: found,
            log_epoch: 0,
            at_ms,
            events: events.clone(),
            index: IndexChange::Keep,
        };
        if append_id(&written, [a, b, c, d]) == found { Link::Whole } else { Link::Changed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(append: &Append) -> LogRow {
        let &Append { version, writer, append_id, at_ms, ref events, .. } = append;
        LogRow { version, writer, append_id, at_ms, events: events.clone() }
    }

    fn log() -> Vec<LogRow> {
        let mut tip = None;
        let mut rows = Vec::new();
        for text in ["one", "two", "three", "four"] {
            let append = Draft { events: Bytes::from(text), ..draft() }.behind(tip);
            tip = Some(append.tip());
            rows.push(row(&append));
        }
        rows
    }

    fn links(rows: &[LogRow]) -> Vec<Link> {
        let mut chain = Chain::of(SagaId(Uuid::from_u128(7)));
        rows.iter().map(|row| chain.follow(row)).collect()
    }

    #[test]
    fn a_log_as_it_was_written_is_whole() {
        assert_eq!(links(&log()), [Link::Whole; 4]);
    }

    #[test]
    fn the_same_row_is_never_written_twice_under_one_id() {
        assert_ne!(log()[0].append_id, log()[0].append_id);
    }

    #[test]
    fn every_change_of_a_row_is_seen() {
        let changes: [fn(&mut LogRow); 4] = [
            |row| row.events = Bytes::from("2wo"),
            |row| row.at_ms += 1,
            |row| row.writer = NodeId(Uuid::from_u128(2)),
            |row| {
                row.append_id =
                    Draft { saga: SagaId(Uuid::from_u128(8)), ..draft() }.behind(None).append_id
            },
        ];
        for (at, change) in changes.iter().enumerate() {
            let mut rows = log();
            change(&mut rows[1]);
            assert_eq!(links(&rows)[1], Link::Changed, "change {at}");
        }
    }

    #[test]
    fn a_row_that_was_taken_out_is_seen_even_where_the_others_move_up() {
        let mut rows = log();
        rows.remove(1);
        assert_eq!(links(&rows), [Link::Whole, Link::Gap, Link::Whole]);
        for (at, row) in rows.iter_mut().enumerate() {
            row.version = at as u64 + 1;
        }
        assert_eq!(links(&rows)[1], Link::Changed);
    }

    #[test]
    fn rows_of_a_program_of_before_are_known_as_such() {
        let mut rows = log();
        rows[0].append_id = Uuid::now_v7();
        // The second still stands on the first as it was.
        assert_eq!(links(&rows)[..2], [Link::Unchained, Link::Changed]);
        let tip = Some(rows[0].tip());
        let second = draft().behind(tip);
        assert_eq!(links(&[rows[0].clone(), row(&second)]), [Link::Unchained, Link::Whole]);
    }

    fn draft() -> Draft {
        Draft {
            saga: SagaId(Uuid::from_u128(7)),
            writer: NodeId(Uuid::from_u128(1)),
            log_epoch: 1,
            at_ms: 5,
            events: Bytes::from("events"),
            index: IndexChange::Keep,
        }
    }
}
