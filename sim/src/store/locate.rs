//! A channel's kept entries as the core's page selection looks at them.

use core::convert::Infallible;
use core::ops::{ControlFlow, RangeInclusive};

use soqet_core::history::{Row, Select, Source, Visit};
use soqet_core::id::{MsgId, Seq};
use soqet_core::store::Selector;

use super::tables::Channel;
use super::work::OwnedEntry;

/// The bounds of a page.
pub fn locate(
    channel: &Channel,
    selector: Selector,
    limit: u16,
    events: bool,
    last: Seq,
) -> Option<(Seq, Seq)> {
    let select = Select {
        selector,
        limit,
        events,
        last,
    };
    match select.page(&mut Kept(channel)) {
        Ok(bounds) => bounds,
        Err(never) => match never {},
    }
}

struct Kept<'a>(&'a Channel);

fn row(entry: &OwnedEntry) -> Row {
    Row {
        seq: entry.seq,
        time: entry.time,
        kind: entry.kind,
    }
}

impl Source for Kept<'_> {
    type Error = Infallible;

    fn place(&mut self, msgid: MsgId) -> Result<Option<Seq>, Infallible> {
        Ok(self.0.place(msgid))
    }

    fn at_or_after(&mut self, time: u64) -> Result<Option<Seq>, Infallible> {
        let index = self.0.entries.partition_point(|entry| entry.time < time);
        Ok(self.0.entries.get(index).map(|entry| entry.seq))
    }

    fn ascend(&mut self, places: RangeInclusive<u64>, visit: Visit<'_>) -> Result<(), Infallible> {
        let kept = self.0.entries.iter().filter(|e| places.contains(&e.seq.0));
        for entry in kept {
            if let ControlFlow::Break(()) = visit(row(entry)) {
                break;
            }
        }
        Ok(())
    }

    fn descend(&mut self, places: RangeInclusive<u64>, visit: Visit<'_>) -> Result<(), Infallible> {
        let kept = self.0.entries.iter().filter(|e| places.contains(&e.seq.0));
        for entry in kept.rev() {
            if let ControlFlow::Break(()) = visit(row(entry)) {
                break;
            }
        }
        Ok(())
    }
}
