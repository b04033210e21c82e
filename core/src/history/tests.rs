//! Rings and pages against naive models.

use core::convert::Infallible;
use core::ops::RangeInclusive;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::id::{AccountId, MsgId, Seq};
use crate::store::{Bound, Entry, Kind, Selector};

/// Runs `test` on fresh rings.
fn with_history<R>(
    channels: usize,
    blocks: usize,
    block_size: usize,
    payers: usize,
    per_channel: u32,
    test: impl FnOnce(&mut History<'_>) -> R,
) -> R {
    let mut logs = vec![Log::EMPTY; channels];
    let mut metadata = vec![Block::EMPTY; blocks];
    let mut bytes = vec![0; blocks * block_size];
    let mut payers = vec![Payer::EMPTY; payers];
    let mut history = History::new(
        &mut logs,
        &mut metadata,
        &mut bytes,
        &mut payers,
        per_channel,
    )
    .unwrap();
    test(&mut history)
}

fn entry(seq: u64, time: u64, kind: Kind, text: &str) -> Entry<'_> {
    Entry {
        seq: Seq(seq),
        time,
        msgid: MsgId(time << 22 | seq),
        kind,
        sender: AccountId(9),
        nick: "al",
        tags: "",
        subject: "",
        text,
    }
}

#[derive(Clone, Debug)]
enum Step {
    Push {
        log: usize,
        payer: u32,
        len: usize,
        transient: bool,
    },
    Mark(usize),
    Reopen(usize),
}

fn step(channels: usize) -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (0..channels, 0..5u32, 0..90usize, prop::bool::weighted(0.2)).prop_map(
            |(log, payer, len, transient)| Step::Push { log, payer, len, transient }
        ),
        4 => (0..channels).prop_map(Step::Mark),
        1 => (0..channels).prop_map(Step::Reopen),
    ]
}

/// All that was ever pushed to a log slot; `None` where a position was skipped by reopening it.
#[derive(Default)]
struct Model {
    pushed: Vec<Option<(u64, bool, String)>>,
    last: u64,
    marks: Vec<(usize, Cursor)>,
}

fn compare(history: &History<'_>, log: u32, model: &Model) {
    let line = |text: &str| format!(":al!al@h PRIVMSG #c :{text}");
    // What is kept is the newest of what was pushed, forwards and backwards.
    let mut kept = Vec::new();
    let mut at = history.tail(log);
    while let Some((view, next)) = history.read(log, at) {
        assert!(!history.at_head(log, at) && !history.lapped(log, at));
        kept.push((
            view.seq.0,
            view.is_transient(),
            String::from_utf8(view.line.to_vec()).unwrap(),
        ));
        at = next;
    }
    assert!(history.at_head(log, at));
    let newest: Vec<_> = model.pushed[model.pushed.len() - kept.len()..]
        .iter()
        .map(|entry| {
            let (seq, transient, text) = entry.clone().unwrap();
            (seq, transient, line(&text))
        })
        .collect();
    assert_eq!(kept, newest);
    let mut back = Vec::new();
    let mut at = history.head(log);
    while let Some((view, before)) = history.read_back(log, at) {
        assert_eq!(history.read(log, before).unwrap().0, view);
        back.push(view.seq.0);
        at = before;
    }
    back.reverse();
    assert_eq!(back, kept.iter().map(|(seq, ..)| *seq).collect::<Vec<_>>());
    // Cursors from long ago know exactly whether they are lapped.
    let tail = model.pushed.len() - kept.len();
    for (position, cursor) in &model.marks {
        assert_eq!(history.lapped(log, *cursor), *position < tail);
        assert_eq!(
            history.at_head(log, *cursor),
            *position == model.pushed.len()
        );
        let read = history.read(log, *cursor);
        assert_eq!(
            read.is_some(),
            (tail..model.pushed.len()).contains(position)
        );
        if let (Some((view, _)), Some(Some((_, _, text)))) = (read, model.pushed.get(*position)) {
            assert_eq!(view.line, line(text).as_bytes());
        }
        let back = history.read_back(log, *cursor);
        assert_eq!(back.is_some(), *position > tail);
        if let (Some((view, before)), Some((_, _, text))) = (
            back,
            position
                .checked_sub(1)
                .and_then(|i| model.pushed[i].as_ref()),
        ) {
            assert_eq!(view.line, line(text).as_bytes());
            assert_eq!(history.read(log, before).unwrap().0, view);
        }
    }
    let stored = kept
        .iter()
        .filter(|(_, transient, _)| !transient)
        .map(|(seq, ..)| *seq);
    assert_eq!(
        history.first_seq(log).map(|seq| seq.0),
        stored.clone().next()
    );
    assert_eq!(history.last_seq(log).0, model.last);
    for seq in 1..=model.last {
        let found = history
            .find(log, Seq(seq))
            .and_then(|at| history.read(log, at));
        assert_eq!(found.is_some(), stored.clone().any(|kept| kept == seq));
        assert!(found.is_none_or(|(view, _)| view.seq.0 == seq && !view.is_transient()));
    }
    let next = history.find(log, Seq(model.last + 1)).unwrap();
    assert!(history.at_head(log, next));
}

proptest! {
    #[test]
    fn rings_keep_the_newest_and_cursors_stay_right(
        (channels, steps) in (1..5usize).prop_flat_map(|n| (Just(n), vec(step(n), 1..150))),
        blocks in 1..7usize,
        payers in 1..6usize,
        per_channel in 1..4u32,
    ) {
        with_history(channels, blocks, 200, payers, per_channel, |history| {
            let mut models: Vec<Model> = (0..channels).map(|_| Model::default()).collect();
            for (serial, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Push { log, payer, len, transient } => {
                        let model = &mut models[log];
                        if !transient {
                            model.last += 1;
                        }
                        let text: String = format!("{serial} ").chars().cycle().take(len).collect();
                        let entry = entry(model.last, serial as u64, Kind::Privmsg, &text);
                        let flags = if transient { Flags::TRANSIENT } else { Flags::empty() };
                        let at = history
                            .push(log as u32, AccountId(payer), &entry, "#c", "h", flags)
                            .unwrap();
                        model.marks.push((model.pushed.len(), at));
                        model.pushed.push(Some((model.last, transient, text)));
                    }
                    Step::Mark(log) => {
                        let model = &mut models[log];
                        model.marks.push((model.pushed.len(), history.head(log as u32)));
                    }
                    Step::Reopen(log) => {
                        let model = &mut models[log];
                        history.open(log as u32, Seq(model.last));
                        model.pushed.push(None);
                    }
                }
                history.check();
            }
            for (log, model) in models.iter().enumerate() {
                compare(history, log as u32, model);
            }
            let paid: u32 = (0..5).map(|account| history.charged(AccountId(account))).sum();
            prop_assert!(paid as usize <= blocks);
            Ok(())
        })?;
    }

    /// Who has less than somebody else loses nothing to that one.
    #[test]
    fn a_payer_never_takes_from_a_lighter_one(
        pushes in vec((0..12u32, 0..150usize), 1..200),
        blocks in 2..12usize,
    ) {
        let owner = |log: u32| AccountId(1 + log % 4);
        with_history(12, blocks, 256, blocks + 1, 100, |history| {
            let mut seqs = [0; 12];
            for (log, len) in pushes {
                seqs[log as usize] += 1;
                let before: Vec<u32> = (1..5).map(|a| history.charged(AccountId(a))).collect();
                let text = "x".repeat(len);
                let entry = entry(seqs[log as usize], 0, Kind::Privmsg, &text);
                history.push(log, owner(log), &entry, "#c", "h", Flags::empty()).unwrap();
                history.check();
                let payer = before[owner(log).0 as usize - 1];
                let heaviest = before.iter().max().copied();
                for (account, before) in (1..).zip(&before) {
                    let now = history.charged(AccountId(account));
                    if now < *before && AccountId(account) != owner(log) {
                        prop_assert!(*before > payer && Some(*before) == heaviest);
                    }
                }
            }
            Ok(())
        })?;
    }
}

#[test]
fn opening_rooms_does_not_flush_what_others_have() {
    with_history(40, 8, 256, 9, 8, |history| {
        let victim = AccountId(1);
        for seq in 1..=3 {
            let long = "v".repeat(180);
            let entry = entry(seq, seq, Kind::Privmsg, &long);
            history
                .push(0, victim, &entry, "#mine", "h", Flags::empty())
                .unwrap();
        }
        for log in 1..40 {
            let entry = entry(1, 5, Kind::Privmsg, "spam");
            history
                .push(log, AccountId(2), &entry, "#spam", "h", Flags::empty())
                .unwrap();
        }
        assert_eq!(history.first_seq(0), Some(Seq(1)));
        assert_eq!(history.charged(victim), 3);
        assert_eq!(history.charged(AccountId(2)), 5);
        history.close(39);
        assert_eq!(history.charged(AccountId(2)), 4);
        history.check();
    });
}

#[test]
fn a_long_room_goes_before_the_newest_entry_of_a_short_one() {
    with_history(2, 3, 256, 4, 3, |history| {
        let long = "v".repeat(180);
        let both = AccountId(1);
        let mut push = |log: u32, seq| {
            let entry = entry(seq, seq, Kind::Privmsg, &long);
            history
                .push(log, both, &entry, "#c", "h", Flags::empty())
                .unwrap();
        };
        push(0, 1);
        for seq in 1..=9 {
            push(1, seq);
        }
        assert_eq!(history.first_seq(0), Some(Seq(1)));
        assert_eq!(history.first_seq(1), Some(Seq(8)));
    });
}

#[test]
fn what_is_too_long_changes_nothing() {
    with_history(1, 2, 128, 2, 2, |history| {
        let fits = "x".repeat(128 - 39 - ":al!al@h PRIVMSG #c :".len());
        let mut push = |text: &str, seq| {
            history.push(
                0,
                AccountId(1),
                &entry(seq, 1, Kind::Privmsg, text),
                "#c",
                "h",
                Flags::empty(),
            )
        };
        assert!(push(&fits, 1).is_ok());
        assert_eq!(push(&[&fits, "x"].concat(), 2), Err(TooLong));
        assert_eq!(push(&"x".repeat(70_000), 2), Err(TooLong));
        assert_eq!(history.last_seq(0), Seq(1));
        assert!(history.read(0, history.tail(0)).is_some());
        history.check();
    });
}

#[test]
fn too_little_memory_is_refused() {
    let mut payers = [Payer::EMPTY];
    let mut bytes = [0; 64];
    let mut blocks = [Block::EMPTY];
    assert!(History::new(&mut [], &mut [], &mut bytes, &mut payers, 1).is_err());
    assert!(History::new(&mut [], &mut blocks, &mut [], &mut payers, 1).is_err());
    assert!(History::new(&mut [], &mut blocks, &mut bytes, &mut [], 1).is_err());
    assert!(History::new(&mut [], &mut blocks, &mut bytes, &mut payers, 1).is_ok());
}

/// The naive source: every row in a vector, ascending.
struct Rows(Vec<Row>);

impl Source for Rows {
    type Error = Infallible;

    fn place(&mut self, msgid: MsgId) -> Result<Option<Seq>, Infallible> {
        let found = self
            .0
            .iter()
            .find(|row| MsgId(row.time << 22 | row.seq.0) == msgid);
        Ok(found.map(|row| row.seq))
    }

    fn at_or_after(&mut self, time: u64) -> Result<Option<Seq>, Infallible> {
        let found = self.0.iter().find(|row| row.time >= time);
        Ok(found.map(|row| row.seq))
    }

    fn ascend(&mut self, places: RangeInclusive<u64>, visit: Visit<'_>) -> Result<(), Infallible> {
        let _ = self
            .0
            .iter()
            .filter(|row| places.contains(&row.seq.0))
            .try_for_each(|row| visit(*row));
        Ok(())
    }

    fn descend(&mut self, places: RangeInclusive<u64>, visit: Visit<'_>) -> Result<(), Infallible> {
        let _ = self
            .0
            .iter()
            .rev()
            .filter(|row| places.contains(&row.seq.0))
            .try_for_each(|row| visit(*row));
        Ok(())
    }
}

impl Rows {
    fn page(&mut self, selector: Selector, limit: u16, events: bool) -> Option<(u64, u64)> {
        let last = self.0.last().map_or(Seq::NONE, |row| row.seq);
        let select = Select {
            selector,
            limit,
            events,
            last,
        };
        let Ok(page) = select.page(self);
        page.map(|(first, last)| (first.0, last.0))
    }

    fn shown(&self, page: Option<(u64, u64)>, events: bool) -> Vec<Row> {
        let (first, last) = page.unwrap_or((1, 0));
        let rows = self.0.iter().copied();
        rows.filter(|row| (first..=last).contains(&row.seq.0) && row.is_shown(events))
            .collect()
    }
}

/// Rows with long runs of equal times, that do not all begin at place 1.
fn rows() -> impl Strategy<Value = Vec<Row>> {
    let kinds = prop_oneof![
        5 => Just(Kind::Privmsg),
        1 => Just(Kind::Notice),
        1 => Just(Kind::Join),
        1 => Just(Kind::Tagmsg),
        1 => Just(Kind::Invite),
    ];
    let steps = prop_oneof![3 => Just(0u64), 1 => 1..4u64];
    (1..4u64, vec((kinds, steps), 0..60)).prop_map(|(first, steps)| {
        let mut time = 10;
        let rows = steps.into_iter().enumerate().map(|(index, (kind, step))| {
            time += step;
            Row {
                seq: Seq(first + index as u64),
                time,
                kind,
            }
        });
        rows.collect()
    })
}

fn bound() -> impl Strategy<Value = Bound> {
    prop_oneof![
        (5..60u64).prop_map(Bound::Time),
        Just(Bound::Time(u64::MAX)),
        (0..70u64).prop_map(|seq| Bound::Seq(Seq(seq))),
        (8..40u64, 0..70u64).prop_map(|(time, seq)| Bound::Id(MsgId(time << 22 | seq))),
    ]
}

fn selector() -> impl Strategy<Value = Selector> {
    prop_oneof![
        Just(Selector::Latest(None)),
        bound().prop_map(|bound| Selector::Latest(Some(bound))),
        bound().prop_map(Selector::Before),
        bound().prop_map(Selector::After),
        bound().prop_map(Selector::Around),
        (bound(), bound()).prop_map(|(from, to)| Selector::Between(from, to)),
    ]
}

/// By definition, not by algorithm.
fn is_before(row: &Row, bound: Bound, rows: &[Row]) -> bool {
    match bound {
        Bound::Time(time) => row.time < time,
        Bound::Seq(seq) => row.seq < seq,
        Bound::Id(id) => match rows.iter().find(|r| r.time << 22 | r.seq.0 == id.0) {
            Some(known) => row.seq < known.seq,
            None => row.time < id.0 >> 22,
        },
    }
}

fn is_after(row: &Row, bound: Bound, rows: &[Row]) -> bool {
    match bound {
        Bound::Time(time) => row.time > time,
        Bound::Seq(seq) => row.seq > seq,
        Bound::Id(id) => match rows.iter().find(|r| r.time << 22 | r.seq.0 == id.0) {
            Some(known) => row.seq > known.seq,
            None => row.time > id.0 >> 22,
        },
    }
}

/// The page by its definition: `candidates` in walking order.
fn naive_cut(candidates: &[Row], limit: usize) -> &[Row] {
    if candidates.len() <= limit {
        return candidates;
    }
    let ends_clean = |len: usize| {
        candidates
            .get(len)
            .is_none_or(|next| next.time != candidates[len - 1].time)
    };
    let len = (1..=limit).rev().find(|len| ends_clean(*len));
    let len = len.or_else(|| (limit..=candidates.len()).find(|len| ends_clean(*len)));
    &candidates[..len.unwrap()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn pages_are_what_their_definition_says(
        rows in rows(), selector in selector(), limit in 1..12u16, events: bool,
    ) {
        let mut source = Rows(rows.clone());
        let page = source.page(selector, limit, events);
        let shown = source.shown(page, events);
        if let (Some((first, last)), Some(a), Some(b)) = (page, shown.first(), shown.last()) {
            prop_assert_eq!((first, last), (a.seq.0, b.seq.0));
        }
        prop_assert_eq!(page.is_some(), !shown.is_empty());
        let all: Vec<Row> = rows.iter().copied().filter(|row| row.is_shown(events)).collect();
        let choose = |keep: &dyn Fn(&Row) -> bool| -> Vec<Row> {
            all.iter().copied().filter(|row| keep(row)).collect()
        };
        let before = |row: &Row, bound| is_before(row, bound, &rows);
        let after = |row: &Row, bound| is_after(row, bound, &rows);
        let limit = usize::from(limit);
        let oldest = |candidates: Vec<Row>| naive_cut(&candidates, limit).to_vec();
        let newest = |mut candidates: Vec<Row>| {
            candidates.reverse();
            let mut page = naive_cut(&candidates, limit).to_vec();
            page.reverse();
            page
        };
        let expected = match selector {
            Selector::Latest(None) => newest(all.clone()),
            Selector::Latest(Some(bound)) => newest(choose(&|row| after(row, bound))),
            Selector::Before(bound) => newest(choose(&|row| before(row, bound))),
            Selector::After(bound) => oldest(choose(&|row| after(row, bound))),
            Selector::Between(a, b) => {
                let up = choose(&|row| after(row, a) && before(row, b));
                let down = choose(&|row| after(row, b) && before(row, a));
                if up.is_empty() { newest(down) } else { oldest(up) }
            }
            Selector::Around(bound) => {
                // Contiguous, clean at both ends, as long as no run forces more not longer than asked for, and with what is at the bound.
                let clean = |a: Option<&Row>, b: Option<&Row>| match (a, b) {
                    (Some(a), Some(b)) => a.time != b.time,
                    _ => true,
                };
                let at = |row: Option<&Row>| all.iter().position(|r| Some(r) == row);
                if let (Some(i), Some(j)) = (at(shown.first()), at(shown.last())) {
                    prop_assert!(clean(i.checked_sub(1).map(|i| &all[i]), Some(&all[i])));
                    prop_assert!(clean(Some(&all[j]), all.get(j + 1)));
                    let later = choose(&|row| !before(row, bound));
                    if let Some(first) = later.first() {
                        prop_assert!(shown.contains(first));
                    }
                    let mut times: Vec<u64> = shown.iter().map(|row| row.time).collect();
                    times.dedup();
                    prop_assert!(shown.len() <= limit || times.len() <= 2, "{shown:?}");
                } else {
                    prop_assert!(all.is_empty());
                }
                shown.clone()
            }
        };
        prop_assert_eq!(shown, expected);
    }

    #[test]
    fn paging_by_time_visits_every_message_exactly_once(
        rows in rows(), limit in 1..8u16, events: bool,
    ) {
        let mut source = Rows(rows);
        let everything = source.shown(Some((1, 1000)), events);
        let mut seen: Vec<Row> = Vec::new();
        let mut time = 0;
        loop {
            let page = source.page(Selector::After(Bound::Time(time)), limit, events);
            let shown = source.shown(page, events);
            let Some(last) = shown.last() else { break };
            time = last.time;
            seen.extend(shown);
        }
        prop_assert_eq!(&seen, &everything);
        // Backwards from the newest, and from wherever AROUND falls.
        for start in [Selector::Latest(None), Selector::Around(Bound::Time(13))] {
            let mut page = source.page(start, limit, events);
            let mut seen: Vec<Row> = Vec::new();
            let mut end = None;
            while let Some(first) = source.shown(page, events).first().copied() {
                let shown = source.shown(page, events);
                end = end.or(shown.last().copied());
                seen.splice(0..0, shown);
                page = source.page(Selector::Before(Bound::Time(first.time)), limit, events);
            }
            let upto: Vec<Row> =
                everything.iter().copied().filter(|row| end.is_some_and(|end| row.seq <= end.seq)).collect();
            prop_assert_eq!(&seen, &upto);
            prop_assert_eq!(seen.is_empty(), everything.is_empty());
        }
        // From the newest down to a bound by BETWEEN, and up again.
        let mut seen: Vec<Row> = Vec::new();
        let mut time = 1000;
        loop {
            let between = Selector::Between(Bound::Time(time), Bound::Time(0));
            let page = source.page(between, limit, events);
            let shown = source.shown(page, events);
            let Some(first) = shown.first() else { break };
            time = first.time;
            seen.splice(0..0, shown);
        }
        prop_assert_eq!(&seen, &everything);
    }

    #[test]
    fn memory_answers_only_what_it_surely_knows(
        rows in rows(), selector in selector(), limit in 1..12u16, events: bool,
        blocks in 1..6usize, typing in vec(any::<bool>(), 60),
    ) {
        with_history(1, blocks, 250, 2, 100, |history| {
            let first = rows.first().map_or(1, |row| row.seq.0);
            history.open(0, Seq(first - 1));
            for (row, typing) in rows.iter().zip(typing) {
                let entry = entry(row.seq.0, row.time, row.kind, "");
                history.push(0, AccountId(1), &entry, "#c", "h", Flags::empty()).unwrap();
                if typing {
                    let entry = self::entry(0, row.time, Kind::Tagmsg, "");
                    history.push(0, AccountId(1), &entry, "#c", "h", Flags::TRANSIENT).unwrap();
                }
            }
            let complete = match history.first_seq(0) {
                Some(seq) => seq.0 == first,
                None => rows.is_empty(),
            };
            let last = rows.last().map_or(Seq::NONE, |row| row.seq);
            let select = Select { selector, limit, events, last };
            let Ok(truth) = select.page(&mut Rows(rows.clone()));
            match history.select(0, &select, complete) {
                Covered::Page(page) => {
                    prop_assert_eq!(page, truth);
                    if let Some((a, b)) = page {
                        prop_assert!(history.find(0, a).is_some() && history.find(0, b).is_some());
                    }
                }
                Covered::Store => prop_assert!(!complete),
            }
            Ok(())
        })?;
    }
}

#[test]
fn the_newest_come_from_memory_although_the_bound_is_older() {
    with_history(1, 2, 300, 2, 2, |history| {
        for seq in 1..=50 {
            let entry = entry(seq, 100 + seq, Kind::Privmsg, "hello");
            history
                .push(0, AccountId(1), &entry, "#c", "h", Flags::empty())
                .unwrap();
        }
        assert!(history.first_seq(0).unwrap() > Seq(40));
        let page = |selector, limit| {
            let select = Select {
                selector,
                limit,
                events: false,
                last: Seq(50),
            };
            history.select(0, &select, false)
        };
        let newest = Covered::Page(Some((Seq(48), Seq(50))));
        for bound in [
            Bound::Time(110),
            Bound::Id(MsgId(110 << 22 | 10)),
            Bound::Seq(Seq(10)),
        ] {
            assert_eq!(page(Selector::Latest(Some(bound)), 3), newest);
            assert_eq!(page(Selector::Latest(Some(bound)), 30), Covered::Store);
            assert_eq!(page(Selector::Before(bound), 3), Covered::Store);
            assert_eq!(page(Selector::After(bound), 3), Covered::Store);
            assert_eq!(page(Selector::Around(bound), 3), Covered::Store);
        }
        assert_eq!(page(Selector::Latest(None), 3), newest);
        let after = Selector::After(Bound::Time(147));
        assert_eq!(page(after, 3), newest);
        assert_eq!(
            page(Selector::Between(Bound::Time(105), Bound::Time(107)), 3),
            Covered::Store
        );
    });
}

#[test]
fn around_gives_each_side_its_half_and_what_the_other_has_not() {
    let rows = (1..=20).map(|seq| Row {
        seq: Seq(seq),
        time: 100 + seq,
        kind: Kind::Privmsg,
    });
    let mut source = Rows(rows.collect());
    let mut around = |seq, limit| source.page(Selector::Around(Bound::Seq(Seq(seq))), limit, false);
    assert_eq!(around(10, 1), Some((10, 10)));
    assert_eq!(around(10, 2), Some((9, 10)));
    assert_eq!(around(10, 5), Some((8, 12)));
    assert_eq!(around(10, 6), Some((7, 12)));
    assert_eq!(around(2, 6), Some((1, 6)));
    assert_eq!(around(19, 6), Some((15, 20)));
    assert_eq!(around(500, 6), Some((15, 20)));
    assert_eq!(around(0, 6), Some((1, 6)));
    assert_eq!(around(10, 100), Some((1, 20)));
}
