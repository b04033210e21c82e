//! Looking things up in a ring: by place, and as a source of history pages.

use core::ops::{ControlFlow, RangeInclusive};

use super::entry::View;
use super::ring::{Cursor, History, NONE};
use super::select::{Row, Select, Source, Visit};
use crate::id::{MsgId, Seq};
use crate::store::{Bound, Selector};

/// What memory knows of a history page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Covered {
    /// All: these are its first and last place, both in memory; `None` when it is empty.
    Page(Option<(Seq, Seq)>),
    /// Not enough: the store has to be asked.
    Store,
}

impl History<'_> {
    /// Place of the oldest entry in memory that has one.
    pub fn first_seq(&self, log: u32) -> Option<Seq> {
        Some(self.first_stored(log)?.seq)
    }

    /// Where the entry with that place is; the head for the place after the newest; `None` when it is not in memory.
    ///
    /// Looks once at every block of the ring and then at the entries of one.
    pub fn find(&self, log: u32, seq: Seq) -> Option<Cursor> {
        if seq.0.checked_sub(1) == Some(self.last_seq(log).0) {
            return Some(self.head(log));
        }
        let start = self.newest_block(log, |first| first.seq <= seq)?;
        let mut at = start;
        while let Some((view, cursor, next)) = self.stored_from(log, at) {
            if view.seq >= seq {
                return (view.seq == seq).then_some(cursor);
            }
            at = next;
        }
        None
    }

    /// The bounds of a history page when memory alone surely has them. `complete` tells that the store keeps nothing older than
    /// what is in memory (also when both are empty).
    pub fn select(&self, log: u32, select: &Select, complete: bool) -> Covered {
        let first = self.first_stored(log);
        let mut source = Recall {
            history: self,
            log,
            first: first.map(|first| first.seq),
            complete,
        };
        let mut page = select.page(&mut source);
        // Where all in memory is after the bound, the newest may still be as many as asked for.
        if page.is_err()
            && let (Selector::Latest(Some(bound)), Some(first)) = (select.selector, first)
            && match bound {
                Bound::Time(time) => time < first.time,
                Bound::Id(id) => id.0 >> 22 < first.time,
                Bound::Seq(seq) => seq < first.seq,
            }
        {
            let unbounded = Select {
                selector: Selector::Latest(None),
                ..*select
            };
            page = unbounded.page(&mut source);
        }
        match page {
            Ok(page) => Covered::Page(page),
            Err(Beyond) => Covered::Store,
        }
    }

    fn first_stored(&self, log: u32) -> Option<View<'_>> {
        let (first, ..) = self.stored_from(log, self.tail(log))?;
        Some(first)
    }

    /// The first entry with a place of its own from a cursor on, its cursor, and the cursor after it.
    fn stored_from(&self, log: u32, mut at: Cursor) -> Option<(View<'_>, Cursor, Cursor)> {
        loop {
            let (view, next) = self.read(log, at)?;
            if !view.is_transient() {
                return Some((view, at, next));
            }
            at = next;
        }
    }

    /// Start of the newest block whose first stored entry passes.
    fn newest_block(&self, log: u32, mut passes: impl FnMut(&View<'_>) -> bool) -> Option<Cursor> {
        let mut block = self.logs.get(log as usize)?.newest();
        while block != NONE {
            let start = self.start_of(block)?;
            if self
                .stored_from(log, start)
                .is_some_and(|(view, ..)| passes(&view))
            {
                return Some(start);
            }
            block = self.blocks.get(block as usize)?.older;
        }
        None
    }
}

/// A ring as a source of pages. Where its answer would depend on what is no longer in memory it fails.
struct Recall<'h, 'a> {
    history: &'h History<'a>,
    log: u32,
    /// Oldest place in memory.
    first: Option<Seq>,
    complete: bool,
}

/// The answer depends on entries older than memory.
struct Beyond;

impl Recall<'_, '_> {
    /// Whether entries from that place on are in memory, or nowhere.
    fn reaches(&self, place: u64) -> Result<(), Beyond> {
        let covered = self.complete || self.first.is_some_and(|first| place >= first.0);
        covered.then_some(()).ok_or(Beyond)
    }
}

impl Source for Recall<'_, '_> {
    type Error = Beyond;

    /// Looks at every entry in memory: ids rise with time, but not strictly with places.
    fn place(&mut self, msgid: MsgId) -> Result<Option<Seq>, Beyond> {
        let mut at = self.history.head(self.log);
        while let Some((view, before)) = self.history.read_back(self.log, at) {
            if view.msgid == msgid && !view.is_transient() {
                return Ok(Some(view.seq));
            }
            at = before;
        }
        if self.complete { Ok(None) } else { Err(Beyond) }
    }

    fn at_or_after(&mut self, time: u64) -> Result<Option<Seq>, Beyond> {
        let Some(first) = self.first else {
            return if self.complete { Ok(None) } else { Err(Beyond) };
        };
        let start = self
            .history
            .newest_block(self.log, |first| first.time < time);
        let Some(mut at) = start else {
            // Nothing in memory is earlier; what is not in memory may be that late too.
            return if self.complete {
                Ok(Some(first))
            } else {
                Err(Beyond)
            };
        };
        while let Some((view, _, next)) = self.history.stored_from(self.log, at) {
            if view.time >= time {
                return Ok(Some(view.seq));
            }
            at = next;
        }
        Ok(None)
    }

    fn ascend(&mut self, places: RangeInclusive<u64>, visit: Visit<'_>) -> Result<(), Beyond> {
        self.reaches(*places.start())?;
        let first = self.first.map_or(0, |first| first.0);
        let Some(mut at) = self.history.find(self.log, Seq(first.max(*places.start()))) else {
            return Ok(());
        };
        while let Some((view, _, next)) = self.history.stored_from(self.log, at) {
            if view.seq.0 > *places.end() || visit(row(&view)).is_break() {
                break;
            }
            at = next;
        }
        Ok(())
    }

    fn descend(&mut self, places: RangeInclusive<u64>, visit: Visit<'_>) -> Result<(), Beyond> {
        if self.first.is_none_or(|first| *places.end() < first.0) {
            return self.reaches(*places.start());
        }
        let past = Seq(places.end().saturating_add(1));
        let past = self.history.find(self.log, past);
        let mut at = past.unwrap_or_else(|| self.history.head(self.log));
        while let Some((view, before)) = self.history.read_back(self.log, at) {
            at = before;
            if view.is_transient() || view.seq.0 > *places.end() {
                continue;
            }
            if view.seq.0 < *places.start() || visit(row(&view)) == ControlFlow::Break(()) {
                return Ok(());
            }
        }
        self.reaches(*places.start())
    }
}

fn row(view: &View<'_>) -> Row {
    Row {
        seq: view.seq,
        time: view.time,
        kind: view.kind,
    }
}
