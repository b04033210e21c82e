//! A fixed set of seeds, the same digest for the same seed, and an oracle that is not blind.

use soqet_sim::{Net, Options, Sabotage, run};

/// How many seeds an ordinary test run takes.
const SEEDS: u64 = 200;

/// Seeds over smoltcp, which take longer.
const SMOLTCP_SEEDS: u64 = 100;

/// Seeds with everything on simulated flash, which take longer.
const FLASH_SEEDS: u64 = 40;

fn over(net: Net) -> Options {
    Options {
        net,
        ..Options::default()
    }
}

fn all_is_well(options: Options, seeds: u64) {
    let mut acked = 0;
    for seed in 0..seeds {
        let report = run(seed, options);
        if let Some(why) = &report.failure {
            let net = if options.net == Net::Smoltcp {
                " --net smoltcp"
            } else {
                ""
            };
            let flash = if options.flash { " --flash" } else { "" };
            panic!(
                "cargo run --release -p soqet-sim -- run --seed {seed}{net}{flash} --trace\n{why}"
            );
        }
        acked += report.acked;
    }
    // Silence would be well, too.
    assert!(
        acked > seeds * 20,
        "only {acked} messages were acknowledged"
    );
}

#[test]
fn all_is_well_in_every_world() {
    all_is_well(over(Net::Pipes), SEEDS);
}

#[test]
fn all_is_well_over_smoltcp() {
    all_is_well(over(Net::Smoltcp), SMOLTCP_SEEDS);
}

#[test]
fn all_is_well_on_flash() {
    let options = Options {
        flash: true,
        ..over(Net::Pipes)
    };
    all_is_well(options, FLASH_SEEDS);
}

fn same_seed_same_world(net: Net) {
    for seed in 1000..1003 {
        let told = Options {
            trace: 10,
            ..over(net)
        };
        let (first, mut again) = (run(seed, over(net)), run(seed, told));
        again.trace.clear();
        assert_eq!(first, again);
    }
    let (one, other) = (run(1000, over(net)), run(1001, over(net)));
    assert_ne!(one.digest, other.digest);
}

#[test]
fn the_same_seed_gives_the_same_world() {
    same_seed_same_world(Net::Pipes);
}

#[test]
fn the_same_seed_gives_the_same_world_over_smoltcp() {
    same_seed_same_world(Net::Smoltcp);
}

/// Some of these seeds crash at the wrong moment; the oracle has to say what is wrong.
fn caught(sabotage: Sabotage, words: &[&str]) {
    let failures: Vec<String> = (0..40)
        .filter_map(|seed| {
            let options = Options {
                sabotage,
                ..Options::default()
            };
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
