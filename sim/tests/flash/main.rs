//! The store on flash against the model, on simulated media, with the power cut at every write.

mod costs;
mod rig;
mod workload;

use soqet_core::adapters::flash::{Error, Opened};
use soqet_core::id::{AccountId, ChannelId, Seq};
use soqet_core::store::{ChannelKey, Operation, Reason};
use soqet_sim::draw::Draw;
use soqet_sim::media::Nor;
use soqet_sim::store::{Answer, Tables};

use rig::{Medium, Small, ask, ask_model, compare, compare_bounds, open};
use workload::Workload;

/// A chip of 16 KiB sectors, written in words.
fn chip(draw: Draw) -> Nor<4, 16384> {
    Nor::new(64, draw)
}

/// A chip of 4 KiB sectors, written in bytes.
fn fine_chip(draw: Draw) -> Nor<1, 4096> {
    Nor::new(256, draw)
}

/// Without cuts, all is as in the model.
fn agrees<M: Medium>(make: fn(Draw) -> M, seed: u64, operations: usize) {
    let mut draw = Draw::new(seed, 3);
    let mut work = Workload::new(draw.fork());
    let mut model = Tables::new(0, false);
    let (mut store, opened) = open(make(draw.fork())).unwrap();
    assert_eq!(opened, Opened::Formatted);
    for number in 0..operations {
        let (packed, texts) = work.next();
        let operation = packed.operation(&texts);
        let (found, expected) = (
            ask(&mut store, &operation),
            ask_model(&mut model, &operation),
        );
        assert_eq!(found, expected, "seed {seed}, {number}: {operation:?}");
        if draw.chance(50) {
            while draw.chance(700) && soqet_sim::media::ready(store.tidy()) {}
        }
        if draw.chance(20) {
            let (again, opened) = open(store.into_flash()).unwrap();
            assert_eq!(opened, Opened::Found);
            store = again;
        }
        let checked = compare_bounds(&mut store, &mut model, &mut draw, work.channels + 1)
            .and_then(|()| match number % 40 {
                0 => compare(&mut store, &mut model, (work.accounts, work.channels)),
                _ => Ok(()),
            });
        if let Err(why) = checked {
            panic!("seed {seed}, after {number}: {operation:?}\n{why}");
        }
    }
}

#[test]
fn a_chip_agrees_with_the_model() {
    for seed in 0..4 {
        agrees(chip, seed, 1500);
        agrees(fine_chip, seed, 800);
    }
}

#[test]
fn a_card_agrees_with_the_model() {
    agrees(|draw| rig::card(64, draw), 9, 1500);
}

/// Cuts the power within one operation after so many steps, and starts again: the operation was done or it was not, and doing it
/// again makes no difference.
fn cut_within<M: Medium>(
    medium: &M,
    before: &Tables,
    after: &Tables,
    operation: (&Operation<'_>, usize),
    ids: (u32, u32),
    steps: u64,
) {
    let mut medium = medium.clone();
    let (mut store, _) = open(medium.clone()).unwrap();
    store.flash().power().cut_after(steps);
    let answer = ask(&mut store, operation.0);
    let lost = store.flash().power().is_lost();
    assert_eq!(answer == Answer::Unknown, lost, "{answer:?}");
    medium.clone_from(store.flash());
    medium.power().restore();
    let (mut store, _) =
        open(medium).unwrap_or_else(|why| panic!("{:?} cut after {steps}: {why:?}", operation));
    let is_as = |store: &mut Small<M>, model: &Tables| compare(store, &mut model.clone(), ids);
    if let Err(why) = is_as(&mut store, after)
        && (!lost || is_as(&mut store, before).is_err())
    {
        panic!("{operation:?} cut after {steps}: {why}");
    }
    ask(&mut store, operation.0);
    if let Err(why) = is_as(&mut store, after) {
        panic!("{operation:?} cut after {steps} and done again: {why}");
    }
}

/// After so many operations, cuts the power after every step of every further one, or of the long ones at `most` drawn ones.
/// Returns how often it was cut.
fn sweep<M: Medium>(
    make: fn(Draw) -> M,
    seed: u64,
    (before, swept): (usize, usize),
    most: u64,
) -> u64 {
    let mut draw = Draw::new(seed, 4);
    let mut work = Workload::new(draw.fork());
    let mut model = Tables::new(0, false);
    let (mut store, _) = open(make(draw.fork())).unwrap();
    for _ in 0..before {
        let (packed, texts) = work.next();
        let operation = packed.operation(&texts);
        ask_model(&mut model, &operation);
        ask(&mut store, &operation);
    }
    let mut medium = store.into_flash();
    let mut cuts = 0;
    for number in 0..swept {
        let (packed, texts) = work.next();
        let operation = packed.operation(&texts);
        let ids = (work.accounts, work.channels);
        let before = model.clone();
        ask_model(&mut model, &operation);
        let (mut store, _) = open(medium.clone()).unwrap();
        let used = store.flash().power().used();
        ask(&mut store, &operation);
        let steps = store.flash().power().used() - used;
        let cut = |at| cut_within(&medium, &before, &model, (&operation, number), ids, at);
        if steps <= most {
            (0..steps).for_each(cut);
            cuts += steps;
        } else {
            (0..most).for_each(|_| cut(draw.below(steps)));
            cuts += most;
        }
        medium = store.into_flash();
    }
    cuts
}

#[test]
fn a_chip_survives_a_cut_after_every_byte() {
    let cuts = sweep(chip, 1, (0, 150), 24) + sweep(chip, 2, (900, 120), 24);
    assert!(cuts > 3500, "{cuts}");
}

#[test]
fn a_card_survives_a_cut_after_every_block() {
    let card = |draw| rig::card(40, draw);
    let cuts = sweep(card, 3, (0, 120), 130) + sweep(card, 4, (1200, 80), 130);
    assert!(cuts > 500, "{cuts}");
}

/// A long life with cuts at random, also while it starts: scars add up.
fn scars<M: Medium>(make: fn(Draw) -> M, seed: u64, operations: usize) {
    let mut draw = Draw::new(seed, 5);
    let mut work = Workload::new(draw.fork());
    let mut model = Tables::new(0, false);
    let mut medium = make(draw.fork());
    medium.power().cut_after(draw.below(3000));
    let mut store = reopen(medium, &mut draw);
    for number in 0..operations {
        let (packed, texts) = work.next();
        let operation = packed.operation(&texts);
        let expected = ask_model(&mut model, &operation);
        if draw.chance(150) {
            let most = *draw.pick(&[40, 400, 20_000]).unwrap_or(&40);
            let steps = draw.below(most);
            store.flash().power().cut_after(steps);
        }
        let mut answer = ask(&mut store, &operation);
        let mut tries = 0;
        while answer == Answer::Unknown {
            store = reopen(store.into_flash(), &mut draw);
            answer = ask(&mut store, &operation);
            tries += 1;
        }
        if tries == 0 {
            assert_eq!(answer, expected, "seed {seed}, {number}: {operation:?}");
        }
        if number % 25 == 0 || number + 1 == operations {
            store.flash().power().restore();
            if let Err(why) = compare(&mut store, &mut model, (work.accounts, work.channels)) {
                panic!("seed {seed}, after {number}: {operation:?}\n{why}");
            }
        }
    }
}

/// Starts until it succeeds; now and then the power goes again meanwhile.
fn reopen<M: Medium>(medium: M, draw: &mut Draw) -> Small<M> {
    let mut medium = medium;
    loop {
        let mut store = Small::new(medium);
        match soqet_sim::media::ready(store.open(&mut [0; 512])) {
            Ok(_) => return store,
            Err(Error::Medium(_)) => {
                medium = store.into_flash();
                medium.power().restore();
                if draw.chance(300) {
                    medium.power().cut_after(draw.below(600));
                }
            }
            Err(why) => panic!("{why:?}"),
        }
    }
}

#[test]
fn scars_do_not_add_up() {
    for seed in 0..6 {
        scars(chip, seed, 500);
        scars(fine_chip, seed, 300);
        scars(|draw| rig::card(64, draw), seed, 300);
    }
}

/// Anything on a medium that is not ours is formatted away.
#[test]
fn whatever_is_on_a_new_medium_is_no_store() {
    for seed in 0..30 {
        let mut draw = Draw::new(seed, 6);
        let mut chip = chip(draw.fork());
        match draw.below(3) {
            0 => chip.bytes().fill(0),
            1 => draw.fill(chip.bytes()),
            // A format that was cut short.
            _ => {
                draw.fill(chip.bytes());
                chip.power.cut_after(draw.below(45));
                assert!(open(chip.clone()).is_err());
                let mut store = Small::new(chip);
                assert!(soqet_sim::media::ready(store.open(&mut [0; 512])).is_err());
                chip = store.into_flash();
                chip.power.restore();
            }
        }
        let (store, opened) = open(chip).unwrap();
        assert_eq!(opened, Opened::Formatted);
        assert_eq!(open(store.into_flash()).unwrap().1, Opened::Found);
    }
}

/// A store some hundred operations old, and the model of it.
fn aged<M: Medium>(medium: M, seed: u64, operations: usize) -> (Small<M>, Tables, (u32, u32)) {
    let mut work = Workload::new(Draw::new(seed, 7));
    let mut model = Tables::new(0, false);
    let (mut store, _) = open(medium).unwrap();
    for _ in 0..operations {
        let (packed, texts) = work.next();
        let operation = packed.operation(&texts);
        ask_model(&mut model, &operation);
        ask(&mut store, &operation);
    }
    (store, model, (work.accounts, work.channels))
}

/// What is damaged is reported, never formatted, and never taken for something else.
#[test]
fn damage_is_reported_and_left_alone() {
    let mut draw = Draw::new(1, 8);
    let (store, mut model, ids) = aged(chip(draw.fork()), 1, 400);
    let medium = store.into_flash();
    let mut whole = medium.clone();
    let places: Vec<usize> = whole
        .bytes()
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte != 0xff)
        .map(|(at, _)| at)
        .collect();
    let (mut reported, mut lost) = (0, 0);
    for _ in 0..400 {
        let mut medium = medium.clone();
        let at = *draw.pick(&places).unwrap();
        let byte = &mut medium.bytes()[at];
        *byte ^= 1 << draw.below(8);
        let before = medium.bytes().to_vec();
        let mut store = Small::new(medium);
        match soqet_sim::media::ready(store.open(&mut [0; 512])) {
            Ok(opened) => {
                assert_eq!(opened, Opened::Found);
                match compare(&mut store, &mut model, ids) {
                    Ok(()) => {}
                    Err(why) if why.contains("Refused(Failed)") => reported += 1,
                    Err(_) => lost += 1,
                }
            }
            Err(Error::Damaged) => {
                reported += 1;
                assert!(*store.flash().bytes() == before);
            }
            Err(why) => panic!("{why:?}"),
        }
    }
    // The last record of a channel cannot be told from one that a cut left behind.
    assert!(reported > 200 && lost < 60, "{reported} {lost}");
}

/// A full store says so, keeps what it has, and takes more once there is room.
#[test]
fn a_full_store_says_so() {
    let mut draw = Draw::new(2, 9);
    let (mut store, _) = open(Nor::<4, 16384>::new(14, draw.fork())).unwrap();
    let mut model = Tables::new(0, false);
    for name in ["#a", "#b", "#c"] {
        let operation = Operation::CreateChannel {
            key: ChannelKey::Room(name),
            founder: AccountId(1),
            time: 1,
            modes: 0,
        };
        assert_eq!(
            ask(&mut store, &operation),
            ask_model(&mut model, &operation)
        );
    }
    let ids = (1, 3);
    let append = |msgid: u64, keep| {
        let mut append = workload::message(ChannelId(1 + (msgid % 3) as u32), msgid);
        append.keep = keep;
        Operation::Append(append)
    };
    let mut full = 0;
    for msgid in 10_000..12_000 {
        let operation = append(msgid, 100_000);
        let answer = ask(&mut store, &operation);
        if answer == Answer::Refused(Reason::Full) {
            full += 1;
        } else {
            assert_eq!(answer, ask_model(&mut model, &operation));
        }
    }
    assert!((100..1900).contains(&full), "{full}");
    compare(&mut store, &mut model, ids).unwrap();
    // What was there is not lost, and what makes room works.
    let (mut store, _) = open(store.into_flash()).unwrap();
    compare(&mut store, &mut model, ids).unwrap();
    for msgid in 20_000..20_300 {
        let operation = append(msgid, 50);
        let answer = ask(&mut store, &operation);
        assert!(
            matches!(answer, Answer::Stored { .. }),
            "{msgid} {answer:?}"
        );
        ask_model(&mut model, &operation);
    }
    compare(&mut store, &mut model, ids).unwrap();
    let oldest = ask(
        &mut store,
        &Operation::ReadHistory {
            channel: ChannelId(1),
            first: Seq(1),
            last: Seq(u64::MAX),
            bytes: 2000,
        },
    );
    assert!(matches!(oldest, Answer::Page { more: true, .. }));
}

/// All sectors are worn alike.
#[test]
fn wear_is_spread() {
    let (store, ..) = aged(fine_chip(Draw::new(3, 9)), 5, 12_000);
    let wear = store.into_flash().wear;
    let total: u32 = wear.iter().sum();
    let most = wear.iter().max().copied().unwrap_or(0);
    assert!(most * wear.len() as u32 <= total * 5, "{most} of {total}");
}
