//! Registering an account: with a password, with a verifier; by whom and under which names.

use soqet_core::config::{Config, Registration};
use soqet_core::text::Text;

use super::CONFIG;
use crate::client::Client;
use crate::person::{MODERN, password};
use crate::scram;
use crate::world::World;

super::scenarios![
    with_a_password,
    with_a_verifier,
    bad_verifiers,
    without_capabilities,
    weak_passwords,
    a_taken_name,
    forbidden_names,
    closed,
    by_invitation,
    thirty_behind_one_address,
    the_first_is_owner,
];

/// Sends REGISTER and gives the first REGISTER or FAIL REGISTER that answers.
fn outcome(client: &mut Client, credential: &str) -> crate::line::Line {
    client.send(format_args!("REGISTER * * :{credential}"));
    client.expect("an answer to REGISTER", |l| {
        l.is("REGISTER") || (l.is("FAIL") && l.param(0) == "REGISTER")
    })
}

fn with_a_password(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut ann = world.connect("ann");
    let offered = ann.introduce("ann", MODERN);
    let capability = offered
        .iter()
        .find(|o| o.starts_with("draft/account-registration"))
        .expect("the capability");
    assert!(capability.contains("before-connect"), "{capability}");
    let done = outcome(&mut ann, &password("ann"));
    assert_eq!((done.param(0), done.param(1)), ("SUCCESS", "ann"));
    assert_eq!(ann.expect_command("900").param(2), "ann");
    ann.send("CAP END");
    // Nothing of SASL: that was not asked for.
    assert!(ann.line().is("001"));
    ann.welcomed();
    // Already logged in.
    assert_eq!(
        outcome(&mut ann, "another one").param(1),
        "ALREADY_AUTHENTICATED"
    );
    world.login("ann");
}

fn with_a_verifier(world: &mut dyn World) {
    world.start(&CONFIG);
    let salt = *b"sixteen bytes ok";
    let salted = scram::salted("never sent", &salt, 4096);
    let mut ann = world.connect("ann");
    let offered = ann.introduce("ann", MODERN);
    assert!(
        offered
            .iter()
            .any(|o| o.split('=').next() == Some("soqet/verifier"))
    );
    let done = outcome(&mut ann, &scram::verifier(&salted, &salt, 4096));
    assert_eq!(done.param(0), "SUCCESS");
    let mut again = world.connect("ann");
    again.introduce("ann", MODERN);
    again.scram("ann", "never sent");
    again.expect_command("903");
}

fn bad_verifiers(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut ann = world.connect("ann");
    ann.introduce("ann", MODERN);
    let salt = scram::encode(&[1; 16]);
    let key = scram::encode(&[2; 32]);
    for verifier in [
        "SCRAM-SHA-256$".to_owned(),
        "SCRAM-SHA-256$4096".to_owned(),
        format!("SCRAM-SHA-256$0:{salt}${key}:{key}"),
        format!("SCRAM-SHA-256$1:{salt}${key}:{key}"),
        format!("SCRAM-SHA-256$99999999999:{salt}${key}:{key}"),
        format!("SCRAM-SHA-256$-4096:{salt}${key}:{key}"),
        format!("SCRAM-SHA-256$4096:${key}:{key}"),
        format!("SCRAM-SHA-256$4096:!!!!${key}:{key}"),
        format!("SCRAM-SHA-256$4096:{salt}${key}"),
        format!("SCRAM-SHA-256$4096:{salt}${key}:{salt}"),
        format!("SCRAM-SHA-256$4096:{salt}${key}:{key}:{key}"),
    ] {
        let answer = outcome(&mut ann, &verifier);
        assert!(answer.is("FAIL"), "{verifier}: {answer}");
    }
    assert_eq!(outcome(&mut ann, &password("ann")).param(0), "SUCCESS");
}

/// As somebody does who types into WeeChat or irssi.
fn without_capabilities(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut ann = world.connect("ann");
    ann.send("NICK ann");
    ann.send("USER ann 0 * :Ann");
    let hint = ann.expect("a hint how to register", |l| l.raw.contains("REGISTER"));
    assert!(
        hint.is("NOTICE"),
        "to a client without standard-replies: {hint}"
    );
    ann.send("REGISTER * * correct-horse");
    ann.expect_command("001");
    ann.welcomed();
}

fn weak_passwords(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut ann = world.connect("ann");
    ann.introduce("ann", MODERN);
    for weak in ["", "a", "1234567"] {
        let answer = outcome(&mut ann, weak);
        assert!(answer.is("FAIL"), "{weak:?}: {answer}");
    }
    for answer in [
        ann.answers("REGISTER"),
        ann.answers("REGISTER *"),
        ann.answers("REGISTER * *"),
    ] {
        assert!(
            !answer.is_empty()
                && !answer
                    .iter()
                    .any(|l| l.is("REGISTER") && l.param(0) == "SUCCESS"),
            "{answer:#?}"
        );
    }
    let long = "x".repeat(2000);
    ann.send(format_args!("REGISTER * * :{long}"));
    ann.expect("refusal", |l| l.is("FAIL") || l.is("417"));
    assert_eq!(outcome(&mut ann, &password("ann")).param(0), "SUCCESS");
}

fn a_taken_name(world: &mut dyn World) {
    world.start(&CONFIG);
    world.register("ann");
    for name in ["ann", "ANN", "Ann"] {
        let mut eve = world.connect(name);
        eve.introduce(name, MODERN);
        assert_eq!(
            outcome(&mut eve, "a password of hers").param(1),
            "ACCOUNT_EXISTS"
        );
    }
    // Two at once: one of them gets it.
    let mut one = world.connect("bob");
    let mut two = world.connect("bob");
    one.introduce("bob", MODERN);
    two.introduce("bob", MODERN);
    one.send("REGISTER * * :the first password");
    two.send("REGISTER * * :the second password");
    let won = [&mut one, &mut two].map(|client| {
        let answer = client.expect("an answer", |l| l.is("REGISTER") || l.is("FAIL"));
        answer.is("REGISTER")
    });
    assert_ne!(won[0], won[1], "exactly one succeeds");
}

fn forbidden_names(world: &mut dyn World) {
    world.start(&CONFIG);
    for name in [
        "",
        ":",
        "*",
        "1ann",
        "-ann",
        "#ann",
        "&ann",
        "$ann",
        "ann!",
        "ann@home",
        "a,b",
        "a.b",
        "a*",
        "a?",
        "安娜",
        "a\u{7f}b",
        "a\u{1}b",
        &"x".repeat(100),
    ] {
        let mut eve = world.connect("eve");
        eve.send("CAP LS 302");
        eve.send(format_args!("NICK {name}"));
        eve.send("USER eve 0 * :Eve");
        eve.send("REGISTER * * :a long password");
        eve.send("CAP END");
        let answers = eve.fence();
        assert!(
            answers
                .iter()
                .any(|l| l.is("432") || l.is("431") || l.is("461")),
            "{name:?}: {answers:#?}"
        );
        if let Some(refusal) = answers.iter().find(|l| l.is("432")) {
            for word in ["1 to 23 of A-Z", "SETNAME"] {
                assert!(refusal.text().contains(word), "{name:?}: {refusal}");
            }
        }
        assert!(
            !answers
                .iter()
                .any(|l| l.is("001") || l.is("900") || l.param(0) == "SUCCESS"),
            "{name:?}: {answers:#?}"
        );
    }
}

fn closed(world: &mut dyn World) {
    world.start(&Config {
        registration: Registration::Closed,
        ..CONFIG
    });
    let mut ann = world.connect("ann");
    let offered = ann.introduce("ann", MODERN);
    assert!(
        !offered
            .iter()
            .any(|o| o.starts_with("draft/account-registration")),
        "{offered:?}"
    );
    assert!(outcome(&mut ann, &password("ann")).is("FAIL"));
    let mut console = world.console();
    console.send(format_args!("ACCOUNT ADD ann :{}", password("ann")));
    console.expect("done", |l| l.raw.contains("ADD_DONE"));
    world.login("ann");
}

fn by_invitation(world: &mut dyn World) {
    world.start(&Config {
        registration: Registration::Invite(Text::truncated("open-sesame")),
        ..CONFIG
    });
    let mut ann = world.connect("ann");
    ann.introduce("ann", MODERN);
    for code in ["*", "wrong", "open-sesam", "open-sesamee", "OPEN-SESAME"] {
        ann.send(format_args!("REGISTER * {code} :{}", password("ann")));
        let answer = ann.expect("an answer", |l| l.is("FAIL") || l.is("REGISTER"));
        assert!(answer.is("FAIL"), "{code}: {answer}");
    }
    ann.send(format_args!("REGISTER * open-sesame :{}", password("ann")));
    ann.expect("success", |l| l.is("REGISTER") && l.param(0) == "SUCCESS");
}

fn thirty_behind_one_address(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut people: Vec<_> = (0..30)
        .map(|n| world.register(&format!("guest{n}")))
        .collect();
    for person in &mut people {
        person.join("#all");
    }
    people[0].say("#all", "everybody is here");
    for person in &mut people[1..] {
        person.expect_text("everybody is here");
    }
}

fn the_first_is_owner(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut ann = world.register("ann");
    let mut bob = world.register("bob");
    ann.send("ACCOUNT LIST");
    ann.expect("done", |l| l.standard("NOTE", "ACCOUNT", "END"));
    bob.send("ACCOUNT LIST");
    bob.expect("refusal", |l| l.is("FAIL") && l.param(0) == "ACCOUNT");
    ann.send("ACCOUNT OWNER bob");
    ann.expect("done", |l| l.standard("NOTE", "ACCOUNT", "OWNER_DONE"));
    bob.send("ACCOUNT LIST");
    bob.expect("done", |l| l.standard("NOTE", "ACCOUNT", "END"));
}
