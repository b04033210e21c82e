//! A fixed set of seeds, the same digest for the same seed, and an oracle that is not blind.

use soqet_sim::{Options, Sabotage, run};

/// How many seeds an ordinary test run takes.
const SEEDS: u64 = 200;

#[test]
fn all_is_well_in_every_world() {
    let mut acked = 0;
    for seed in 0..SEEDS {
        let report = run(seed, Options::default());
        if let Some(why) = &report.failure {
            panic!("cargo run --release -p soqet-sim -- run --seed {seed} --trace\n{why}");
        }
        acked += report.acked;
    }
    // Silence would be well, too.
    assert!(
        acked > SEEDS * 20,
        "only {acked} messages were acknowledged"
    );
}

#[test]
fn the_same_seed_gives_the_same_world() {
    for seed in 1000..1003 {
        let (first, mut again) = (
            run(seed, Options::default()),
            run(
                seed,
                Options {
                    trace: 10,
                    ..Options::default()
                },
            ),
        );
        again.trace.clear();
        assert_eq!(first, again);
    }
    let (one, other) = (run(1000, Options::default()), run(1001, Options::default()));
    assert_ne!(one.digest, other.digest);
}

/// Some of these seeds crash at the wrong moment; the oracle has to say what is wrong.
fn caught(sabotage: Sabotage, words: &[&str]) {
    let failures: Vec<String> = (0..40)
        .filter_map(|seed| {
            let options = Options { trace: 0, sabotage };
            run(seed, options).failure
        })
        .collect();
    assert!(
        failures
            .iter()
            .any(|why| words.iter().any(|word| why.contains(word))),
        "{sabotage:?}: {failures:?}"
    );
}

#[test]
fn a_store_that_acknowledges_too_early_is_caught() {
    caught(Sabotage::AcknowledgeEarly, &["acknowledged message"]);
}

#[test]
fn a_store_that_forgets_at_a_crash_is_caught() {
    caught(Sabotage::ForgetAtCrash, &["acknowledged message"]);
}

#[test]
fn a_store_that_stores_twice_is_caught() {
    caught(Sabotage::StoreTwice, &["stands at"]);
}
