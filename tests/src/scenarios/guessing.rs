//! Guessing passwords and names gets nowhere.

use soqet_core::config::{Config, Rate};

use super::CONFIG;
use crate::client::Client;
use crate::person::{MODERN, password};
use crate::scram::{self, Scram};
use crate::world::World;

super::scenarios![
    an_unknown_account_looks_like_a_known_one,
    guessing_is_stopped,
    guessing_over_many_connections_is_stopped,
    wrong_nonce,
    wrong_proof,
];

fn an_unknown_account_looks_like_a_known_one(world: &mut dyn World) {
    world.start(&CONFIG);
    world.register("known");
    let mut looks = Vec::new();
    for name in ["known", "unknown"] {
        let mut eve = world.connect("eve");
        eve.introduce(name, MODERN);
        let scram = Scram::new(name, "nonce");
        let first = eve.scram_first(&scram);
        let salted = scram::salted("a guess", &first.salt, first.iterations);
        eve.authenticate(scram.last(&first, &salted).0.as_bytes());
        let answers: Vec<_> = eve
            .fence()
            .iter()
            .map(|l| l.raw.replace(name, "somebody"))
            .collect();
        assert!(answers.iter().any(|a| a.contains(" 904 ")), "{answers:?}");
        looks.push((first.salt.len(), first.iterations, answers));
    }
    assert_eq!(looks[0], looks[1]);

    // The salt is always the same, after a restart too, and each name has its own.
    let salt = |world: &mut dyn World, name: &str| {
        let mut eve: Client = world.connect("eve");
        eve.introduce(name, MODERN);
        eve.scram_first(&Scram::new(name, "n")).salt
    };
    let before = ["known", "unknown", "nobody"].map(|name| salt(world, name));
    world.restart();
    let after = ["known", "UNKNOWN", "nobody"].map(|name| salt(world, name));
    assert_eq!(before, after);
    assert_ne!(before[1], before[2]);
}

/// Few attempts, and none comes back within the test.
const STRICT: Config<'static> = Config {
    login_rate: Rate {
        burst: 3,
        every_ms: 3_600_000,
    },
    ..CONFIG
};

fn guessing_is_stopped(world: &mut dyn World) {
    world.start(&STRICT);
    world.register("ann");
    world.register("bob");
    let mut eve = world.connect("eve");
    eve.introduce("ann", MODERN);
    for guess in 0..3 {
        eve.plain("ann", &format!("guess {guess}"));
        eve.expect_command("904");
    }
    // Now even the right one is refused, whichever way it comes.
    eve.send("AUTHENTICATE PLAIN");
    let answer = eve.line();
    if answer.is("AUTHENTICATE") {
        eve.authenticate(format!("\0ann\0{}", password("ann")).as_bytes());
        eve.expect_command("904");
    } else {
        assert!(answer.is("904") || answer.is("FAIL"), "{answer}");
    }
    eve.expect_none("login", |l| l.is("900") || l.is("903"));
    // Others behind the same address are not locked out.
    world.login("bob");
}

fn guessing_over_many_connections_is_stopped(world: &mut dyn World) {
    world.start(&STRICT);
    world.register("ann");
    let mut refused = 0;
    for guess in 0..8 {
        let mut eve = world.connect("eve");
        eve.send(format_args!(
            "PASS :{}",
            if guess < 7 {
                "no".to_owned()
            } else {
                password("ann")
            }
        ));
        eve.send("NICK ann");
        eve.send("USER ann 0 * :Ann");
        let answer = eve.expect("an answer", |l| l.is("464") || l.is("001"));
        refused += u32::from(answer.is("464"));
    }
    assert_eq!(refused, 8, "the eighth had the right password");
}

fn wrong_nonce(world: &mut dyn World) {
    world.start(&CONFIG);
    world.register("ann");
    let mut eve = world.connect("eve");
    eve.introduce("ann", MODERN);
    for change in [
        |nonce: &str| nonce[..nonce.len() - 1].to_owned(),
        |nonce: &str| format!("{nonce}x"),
        |_: &str| "nonce".to_owned(),
        |nonce: &str| format!("x{}", &nonce[1..]),
    ] {
        let scram = Scram::new("ann", "nonce");
        let mut first = eve.scram_first(&scram);
        let salted = scram::salted(&password("ann"), &first.salt, first.iterations);
        first.nonce = change(&first.nonce);
        eve.authenticate(scram.last(&first, &salted).0.as_bytes());
        eve.expect_command("904");
    }
    eve.expect_none("login", |l| l.is("900") || l.is("903"));
}

fn wrong_proof(world: &mut dyn World) {
    world.start(&CONFIG);
    world.register("ann");
    let mut eve = world.connect("eve");
    eve.introduce("ann", MODERN);
    for proof in ["", "AAAA", "not base64!", &scram::encode(&[0; 32])] {
        let first = eve.scram_first(&Scram::new("ann", "nonce"));
        eve.authenticate(format!("c=biws,r={},p={proof}", first.nonce).as_bytes());
        eve.expect_command("904");
    }
    // Another channel binding than was announced.
    let scram = Scram::new("ann", "nonce");
    let first = eve.scram_first(&scram);
    let salted = scram::salted(&password("ann"), &first.salt, first.iterations);
    let last = scram.last(&first, &salted).0.replace("c=biws", "c=eSws");
    eve.authenticate(last.as_bytes());
    eve.expect_command("904");
    eve.expect_none("login", |l| l.is("900") || l.is("903"));
}
