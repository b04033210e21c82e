//! The bounds of a history page (IRCv3 draft/chathistory), found the same way in memory and in every store.
//!
//! Bounds are exclusive. Limits count messages, or with `events` everything that is shown. Clients page on from the time stamp of
//! the last row they got, so a page never ends inside a run of equal milliseconds at the side where its client will go on: it is cut
//! shorter, or, where one run alone exceeds the limit, goes on to the run's end. That side is the newest end for AFTER and BETWEEN
//! towards later, the oldest end for BEFORE, LATEST and BETWEEN towards earlier, and both for AROUND.

use core::ops::{ControlFlow, RangeInclusive};

use crate::id::{MsgId, Seq};
use crate::store::{Bound, Kind, Selector};

/// What of an entry decides about pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row {
    /// Place.
    pub seq: Seq,
    /// Unix time, milliseconds; never lower than that of an earlier place.
    pub time: u64,
    /// What kind.
    pub kind: Kind,
}

impl Row {
    /// Whether a page shows and counts it: messages, with `events` all but INVITE.
    pub const fn is_shown(&self, events: bool) -> bool {
        self.kind.is_message() || (events && !matches!(self.kind, Kind::Invite))
    }
}

/// What a walk hands its rows to; `Break` ends the walk.
pub type Visit<'v> = &'v mut dyn FnMut(Row) -> ControlFlow<()>;

/// One channel's rows as [`Select`] looks at them.
pub trait Source {
    /// Why it could not look.
    type Error;

    /// The place of the entry with that id, if it is kept.
    fn place(&mut self, msgid: MsgId) -> Result<Option<Seq>, Self::Error>;

    /// The lowest place whose entry is at `time` or later, if there is one.
    fn at_or_after(&mut self, time: u64) -> Result<Option<Seq>, Self::Error>;

    /// Visits the rows kept within the (not empty) range of places from the lowest on. Rows that are not shown may be left out.
    fn ascend(&mut self, places: RangeInclusive<u64>, visit: Visit<'_>) -> Result<(), Self::Error>;

    /// As `ascend`, from the highest on.
    fn descend(&mut self, places: RangeInclusive<u64>, visit: Visit<'_>)
    -> Result<(), Self::Error>;
}

/// A question for a page, the fields of [`Operation::Locate`](crate::store::Operation::Locate).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Select {
    /// What is asked for.
    pub selector: Selector,
    /// At most so many (but see the module).
    pub limit: u16,
    /// Whether entries other than messages count and show.
    pub events: bool,
    /// Entries past this place must not be seen.
    pub last: Seq,
}

impl Select {
    /// The first and last place of the page; `None` when it is empty. Among them may be entries that are not shown.
    pub fn page<S: Source>(&self, source: &mut S) -> Result<Option<(Seq, Seq)>, S::Error> {
        if self.limit == 0 || self.last.is_none() {
            return Ok(None);
        }
        let past = self.last.0.saturating_add(1);
        match self.selector {
            Selector::Latest(None) => self.backward(source, 0, past),
            Selector::Latest(Some(bound)) => {
                let after = self.after(source, bound)?;
                self.backward(source, after, past)
            }
            Selector::Before(bound) => {
                let before = self.before(source, bound)?;
                self.backward(source, 0, before)
            }
            Selector::After(bound) => {
                let after = self.after(source, bound)?;
                self.forward(source, after, past)
            }
            Selector::Between(from, to) => {
                let (after, before) = (self.after(source, from)?, self.before(source, to)?);
                if after < before {
                    return self.forward(source, after, before);
                }
                let (after, before) = (self.after(source, to)?, self.before(source, from)?);
                self.backward(source, after, before)
            }
            Selector::Around(bound) => {
                let before = self.before(source, bound)?;
                self.around(source, before)
            }
        }
    }

    /// The place below which all is before the bound.
    fn before<S: Source>(&self, source: &mut S, bound: Bound) -> Result<u64, S::Error> {
        match self.resolve(source, bound)? {
            Ok(place) => Ok(place),
            Err(time) => self.at_or_after(source, time),
        }
    }

    /// The place above which all is after the bound.
    fn after<S: Source>(&self, source: &mut S, bound: Bound) -> Result<u64, S::Error> {
        match self.resolve(source, bound)? {
            Ok(place) => Ok(place),
            Err(u64::MAX) => Ok(self.last.0),
            Err(time) => Ok(self.at_or_after(source, time + 1)?.saturating_sub(1)),
        }
    }

    /// A bound's place, or else its time.
    fn resolve<S: Source>(
        &self,
        source: &mut S,
        bound: Bound,
    ) -> Result<Result<u64, u64>, S::Error> {
        let past = self.last.0.saturating_add(1);
        Ok(match bound {
            Bound::Time(time) => Err(time),
            Bound::Seq(seq) => Ok(seq.0.min(past)),
            Bound::Id(id) => match source.place(id)? {
                Some(seq) => Ok(seq.0.min(past)),
                None => Err(id.0 >> 22),
            },
        })
    }

    fn at_or_after<S: Source>(&self, source: &mut S, time: u64) -> Result<u64, S::Error> {
        let past = self.last.0.saturating_add(1);
        let found = source.at_or_after(time)?;
        Ok(found.map_or(past, |seq| seq.0.min(past)))
    }

    /// The oldest between two places, both excluded.
    fn forward<S: Source>(
        &self,
        source: &mut S,
        after: u64,
        before: u64,
    ) -> Result<Option<(Seq, Seq)>, S::Error> {
        let mut cut = Cut::new(self.limit, None);
        self.walk(source, false, after, before, &mut cut)?;
        Ok(cut.page())
    }

    /// The newest between two places, both excluded.
    fn backward<S: Source>(
        &self,
        source: &mut S,
        after: u64,
        before: u64,
    ) -> Result<Option<(Seq, Seq)>, S::Error> {
        let mut cut = Cut::new(self.limit, None);
        self.walk(source, true, after, before, &mut cut)?;
        Ok(cut.page().map(|(newest, oldest)| (oldest, newest)))
    }

    /// Half before a place, half from it on; what one side has not goes to the other.
    fn around<S: Source>(
        &self,
        source: &mut S,
        place: u64,
    ) -> Result<Option<(Seq, Seq)>, S::Error> {
        let past = self.last.0.saturating_add(1);
        let half = self.limit - self.limit / 2;
        let mut later = Cut::new(half, None);
        self.walk(source, false, place.saturating_sub(1), past, &mut later)?;
        let rest = self.limit.saturating_sub(later.kept());
        let mut earlier = Cut::new(rest, later.first.map(|row| row.time));
        self.walk(source, true, 0, place, &mut earlier)?;
        let rest = self.limit.saturating_sub(earlier.kept());
        // More, where the earlier side had less than its half; less, where a run across the middle made it longer.
        if rest > half || rest < later.kept() {
            later = Cut::new(rest.max(1), None);
            self.walk(source, false, place.saturating_sub(1), past, &mut later)?;
        }
        Ok(match (earlier.page(), later.page()) {
            (Some((_, first)), Some((_, last))) => Some((first, last)),
            (Some((last, first)), None) => Some((first, last)),
            (None, page) => page,
        })
    }

    /// Offers the shown rows between two places, both excluded, to `cut`.
    fn walk<S: Source>(
        &self,
        source: &mut S,
        down: bool,
        after: u64,
        before: u64,
        cut: &mut Cut,
    ) -> Result<(), S::Error> {
        let places = after.saturating_add(1)..=before.saturating_sub(1);
        if places.is_empty() {
            return Ok(());
        }
        let mut visit = |row: Row| {
            if row.is_shown(self.events) {
                cut.offer(row)
            } else {
                ControlFlow::Continue(())
            }
        };
        if down {
            source.descend(places, &mut visit)
        } else {
            source.ascend(places, &mut visit)
        }
    }
}

/// Takes rows in walking order and decides where to end.
struct Cut {
    limit: u16,
    first: Option<Row>,
    /// The row last taken and how many were.
    last: Option<Seq>,
    count: u16,
    /// Time of the run now being taken; at first that of the row on the other side of where the walk starts.
    run: Option<u64>,
    /// What was taken before this run began, if there was anything else.
    clean: Option<(Option<Seq>, u16)>,
    /// Whether the end is `clean`, as the run did not fit.
    cut: bool,
}

impl Cut {
    const fn new(limit: u16, run: Option<u64>) -> Self {
        Self {
            limit,
            first: None,
            last: None,
            count: 0,
            run,
            clean: None,
            cut: false,
        }
    }

    fn offer(&mut self, row: Row) -> ControlFlow<()> {
        let full = self.count >= self.limit;
        if self.run.is_some_and(|time| time != row.time) {
            if full {
                return ControlFlow::Break(());
            }
            self.clean = Some((self.last, self.count));
        } else if full && self.clean.is_some() {
            self.cut = true;
            return ControlFlow::Break(());
        }
        self.run = Some(row.time);
        self.first.get_or_insert(row);
        self.last = Some(row.seq);
        self.count = self.count.saturating_add(1);
        ControlFlow::Continue(())
    }

    /// How many rows are kept.
    const fn kept(&self) -> u16 {
        match self.clean {
            Some((_, count)) if self.cut => count,
            _ => self.count,
        }
    }

    /// The first and the last row kept, in walking order.
    fn page(&self) -> Option<(Seq, Seq)> {
        let last = match self.clean {
            Some((last, _)) if self.cut => last,
            _ => self.last,
        };
        Some((self.first?.seq, last?))
    }
}
