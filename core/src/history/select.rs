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
        let mut search = Search::new(*self);
        loop {
            match search.need() {
                Need::Place(msgid) => search.found(source.place(msgid)?),
                Need::AtOrAfter(time) => search.found(source.at_or_after(time)?),
                Need::Ascend(places) => {
                    source.ascend(places, &mut |row| search.offer(row))?;
                    search.walked();
                }
                Need::Descend(places) => {
                    source.descend(places, &mut |row| search.offer(row))?;
                    search.walked();
                }
                Need::Done(page) => return Ok(page),
            }
        }
    }
}

/// What a [`Search`] must be told next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Need {
    /// The place of the entry with that id, if it is kept, by [`Search::found`].
    Place(MsgId),
    /// The lowest place whose entry is at that time or later, if there is one, by [`Search::found`].
    AtOrAfter(u64),
    /// The rows kept within the (not empty) range, from the lowest on, by [`Search::offer`] until it breaks; then [`Search::walked`].
    Ascend(RangeInclusive<u64>),
    /// As `Ascend`, from the highest on.
    Descend(RangeInclusive<u64>),
    /// Nothing: these are the first and last place of the page.
    Done(Option<(Seq, Seq)>),
}

/// The search for a page's bounds as a state machine, for a store that must wait for its medium; others call [`Select::page`].
#[derive(Clone, Debug)]
pub struct Search {
    select: Select,
    step: Step,
    /// Bounds found so far, both excluded.
    after: u64,
    before: u64,
    cut: Cut,
    /// The side of AROUND that `cut` does not take.
    other: Cut,
}

/// Where a [`Search`] is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    /// The place of the selector's bound of this number.
    Bound(u8),
    /// It is known by its time only.
    Time(u8, u64),
    /// From the oldest between the bounds on.
    Forward,
    /// From the newest between the bounds on.
    Backward,
    /// Half of AROUND from its bound on.
    Later,
    /// Half of AROUND before its bound.
    Earlier,
    /// The first half again, longer or shorter.
    LaterAgain,
    Done(Option<(Seq, Seq)>),
}

/// Which side of a bound is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Side {
    /// The place below which all is before the bound.
    Before,
    /// The place above which all is after the bound.
    After,
}

impl Search {
    /// Begins.
    pub fn new(select: Select) -> Self {
        let mut search = Self {
            select,
            step: Step::Bound(0),
            after: 0,
            before: 0,
            cut: Cut::new(select.limit, None),
            other: Cut::new(0, None),
        };
        search.before = search.past();
        if select.limit == 0 || select.last.is_none() {
            search.step = Step::Done(None);
        } else {
            search.settle();
        }
        search
    }

    /// What it must be told next.
    pub fn need(&self) -> Need {
        match self.step {
            Step::Bound(number) => match self.bound(number) {
                Some((Bound::Id(id), _)) => Need::Place(id),
                _ => Need::Done(None),
            },
            Step::Time(_, time) => Need::AtOrAfter(time),
            Step::Forward => Need::Ascend(self.after + 1..=self.before - 1),
            Step::Backward => Need::Descend(self.after + 1..=self.before - 1),
            Step::Later | Step::LaterAgain => Need::Ascend(self.before.max(1)..=self.past() - 1),
            Step::Earlier => Need::Descend(1..=self.before - 1),
            Step::Done(page) => Need::Done(page),
        }
    }

    /// The answer to [`Need::Place`] and [`Need::AtOrAfter`].
    pub fn found(&mut self, place: Option<Seq>) {
        match (self.step, place) {
            (Step::Bound(number), Some(seq)) => {
                self.resolved(number, seq.0.min(self.past()));
            }
            (Step::Bound(number), None) => {
                if let Some((Bound::Id(id), side)) = self.bound(number) {
                    self.seek_time(number, id.0 >> 22, side);
                }
            }
            (Step::Time(number, _), found) => {
                let past = self.past();
                let place = found.map_or(past, |seq| seq.0.min(past));
                let after = self
                    .bound(number)
                    .is_some_and(|(_, side)| side == Side::After);
                self.resolved(number, place.saturating_sub(u64::from(after)));
            }
            _ => {}
        }
        self.settle();
    }

    /// Takes a row of a walk.
    pub fn offer(&mut self, row: Row) -> ControlFlow<()> {
        if row.is_shown(self.select.events) {
            self.cut.offer(row)
        } else {
            ControlFlow::Continue(())
        }
    }

    /// A walk is over.
    pub fn walked(&mut self) {
        self.turn();
        self.settle();
    }

    /// From a walk that is over to what comes after it.
    fn turn(&mut self) {
        let limit = self.select.limit;
        match self.step {
            Step::Forward => self.step = Step::Done(self.cut.page()),
            Step::Backward => {
                let page = self.cut.page().map(|(newest, oldest)| (oldest, newest));
                self.step = Step::Done(page);
            }
            Step::Later => {
                let rest = limit.saturating_sub(self.cut.kept());
                let run = self.cut.first.map(|row| row.time);
                self.other = core::mem::replace(&mut self.cut, Cut::new(rest, run));
                self.step = Step::Earlier;
            }
            Step::Earlier => {
                let rest = limit.saturating_sub(self.cut.kept());
                // More, where the earlier side had less than its half; less, where a run across the middle made it longer.
                if rest > self.half() || rest < self.other.kept() {
                    self.other = core::mem::replace(&mut self.cut, Cut::new(rest.max(1), None));
                    self.step = Step::LaterAgain;
                } else {
                    self.step = Step::Done(around(&self.cut, &self.other));
                }
            }
            Step::LaterAgain => self.step = Step::Done(around(&self.other, &self.cut)),
            Step::Bound(_) | Step::Time(..) | Step::Done(_) => {}
        }
    }

    const fn past(&self) -> u64 {
        self.select.last.0.saturating_add(1)
    }

    const fn half(&self) -> u16 {
        self.select.limit - self.select.limit / 2
    }

    /// The selector's bound of this number. Towards earlier, BETWEEN has the same two once more with their sides changed.
    const fn bound(&self, number: u8) -> Option<(Bound, Side)> {
        match (self.select.selector, number) {
            (Selector::Latest(Some(bound)) | Selector::After(bound), 0) => {
                Some((bound, Side::After))
            }
            (Selector::Before(bound) | Selector::Around(bound), 0) => Some((bound, Side::Before)),
            (Selector::Between(from, _), 0) => Some((from, Side::After)),
            (Selector::Between(_, to), 1) => Some((to, Side::Before)),
            (Selector::Between(_, to), 2) => Some((to, Side::After)),
            (Selector::Between(from, _), 3) => Some((from, Side::Before)),
            _ => None,
        }
    }

    fn seek_time(&mut self, number: u8, time: u64, side: Side) {
        match side {
            Side::Before => self.step = Step::Time(number, time),
            Side::After if time == u64::MAX => self.resolved(number, self.select.last.0),
            Side::After => self.step = Step::Time(number, time + 1),
        }
    }

    fn resolved(&mut self, number: u8, place: u64) {
        match self.bound(number) {
            Some((_, Side::After)) => self.after = place,
            _ => self.before = place,
        }
        self.step = Step::Bound(number + 1);
    }

    /// Goes on until something must be told.
    fn settle(&mut self) {
        loop {
            match self.step {
                // BETWEEN towards later needs no more than the first two.
                Step::Bound(2) if self.after < self.before => self.step = Step::Forward,
                Step::Bound(number) => match self.bound(number) {
                    Some((Bound::Id(_), _)) => return,
                    Some((Bound::Time(time), side)) => self.seek_time(number, time, side),
                    Some((Bound::Seq(seq), _)) => {
                        self.resolved(number, seq.0.min(self.past()));
                    }
                    None => self.step = self.first_walk(),
                },
                // An empty range needs no walk.
                Step::Forward | Step::Backward if self.after + 1 >= self.before => self.turn(),
                Step::Later | Step::LaterAgain if self.before.max(1) >= self.past() => {
                    self.turn();
                }
                Step::Earlier if self.before <= 1 => self.turn(),
                _ => return,
            }
        }
    }

    /// The walk after all bounds are resolved.
    fn first_walk(&mut self) -> Step {
        match self.select.selector {
            Selector::Around(_) => {
                self.cut = Cut::new(self.half(), None);
                Step::Later
            }
            Selector::After(_) => Step::Forward,
            Selector::Latest(_) | Selector::Before(_) | Selector::Between(..) => Step::Backward,
        }
    }
}

/// The page of AROUND from its two sides, the earlier one taken from the newest on.
fn around(earlier: &Cut, later: &Cut) -> Option<(Seq, Seq)> {
    match (earlier.page(), later.page()) {
        (Some((_, first)), Some((_, last))) => Some((first, last)),
        (Some((last, first)), None) => Some((first, last)),
        (None, page) => page,
    }
}

/// Takes rows in walking order and decides where to end.
#[derive(Clone, Debug)]
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
