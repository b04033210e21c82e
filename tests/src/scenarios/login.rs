//! Logging in: SCRAM, PLAIN, PASS; what fails and how; several devices; change of password; disabled and removed accounts.

use soqet_core::config::{Config, RawPasswords};

use super::CONFIG;
use crate::person::{MODERN, password};
use crate::world::World;

super::scenarios![
    by_scram,
    by_plain,
    by_pass,
    nothing_raw_where_forbidden,
    wrong_password,
    empty_fields,
    aborted,
    once_is_enough,
    handshake_out_of_order,
    two_devices,
    change_of_password,
    change_of_password_by_verifier,
    disabled_account,
    removed_account,
    titles_and_owner,
    display_name,
    another_nick,
    guests,
    guest_registers,
    nick_after_login,
];

fn by_scram(world: &mut dyn World) {
    world.start(&CONFIG);
    world.register("ann");
    let mut ann = world.connect("ann");
    ann.introduce("ann", MODERN);
    ann.scram("ANN", &password("ann"));
    let line = ann.expect_command("900");
    assert_eq!(line.param(2), "ann", "the account's own spelling");
    assert_eq!(line.text(), "You are now logged in as ann");
    ann.expect_command("903");
    ann.send("CAP END");
    assert_eq!(ann.expect_command("001").param(0), "ann");
    ann.welcomed();
}

fn by_plain(world: &mut dyn World) {
    world.start(&CONFIG);
    world.register("ann");
    let mut ann = world.connect("ann");
    let offered = ann.introduce("ann", MODERN);
    let sasl = offered.iter().find(|o| o.starts_with("sasl="));
    assert!(
        sasl.is_some_and(|s| s.contains("PLAIN") && s.contains("SCRAM-SHA-256")),
        "{offered:?}"
    );
    ann.plain("ann", &password("ann"));
    ann.expect_command("900");
    ann.expect_command("903");
    ann.send("CAP END");
    ann.welcomed();
}

fn by_pass(world: &mut dyn World) {
    world.start(&CONFIG);
    world.register("ann");
    let mut ann = world.connect("ann");
    ann.send(format_args!("PASS :{}", password("ann")));
    ann.send("NICK ann");
    ann.send("USER ann 0 * :Ann");
    // Nothing of SASL: that was not asked for.
    assert_eq!(ann.line().command, "900");
    assert_eq!(ann.line().command, "001");
    ann.welcomed();

    let mut eve = world.connect("eve");
    eve.send("PASS :not the password");
    eve.send("NICK ann");
    eve.send("USER ann 0 * :Ann");
    assert_eq!(eve.line().command, "464");
    eve.expect_none("welcome", |line| line.is("001"));
}

fn nothing_raw_where_forbidden(world: &mut dyn World) {
    world.start(&Config {
        raw_passwords: RawPasswords::Never,
        ..CONFIG
    });
    let mut ann = world.connect("ann");
    let offered = ann.introduce("ann", MODERN);
    let sasl = offered.iter().find(|o| o.starts_with("sasl="));
    assert!(sasl.is_some_and(|s| !s.contains("PLAIN")), "{offered:?}");
    ann.send("AUTHENTICATE PLAIN");
    let mechanisms = ann.expect_command("908");
    assert!(!mechanisms.raw.contains("PLAIN"), "{mechanisms}");
    ann.send(format_args!("REGISTER * * :{}", password("ann")));
    ann.expect("refusal", |l| l.is("FAIL") && l.param(0) == "REGISTER");
    ann.expect_none("success", |l| l.is("900") || l.is("001"));
}

fn wrong_password(world: &mut dyn World) {
    world.start(&CONFIG);
    world.register("ann");
    let mut eve = world.connect("eve");
    eve.introduce("ann", MODERN);
    eve.plain("ann", "wrong");
    eve.expect_command("904");
    eve.scram("ann", "wrong");
    eve.expect_none("login", |l| l.is("900") || l.is("903"));
    // The right one still works on the same connection.
    eve.scram("ann", &password("ann"));
    eve.expect_command("903");
}

fn empty_fields(world: &mut dyn World) {
    world.start(&CONFIG);
    world.register("ann");
    let mut eve = world.connect("eve");
    eve.introduce("ann", MODERN);
    for payload in [
        "",
        "\0",
        "\0\0",
        "\0ann\0",
        "\0\0secret",
        "ann",
        "ann\0ann",
        "eve\0ann\0the password of ann",
    ] {
        eve.send("AUTHENTICATE PLAIN");
        eve.expect_command("AUTHENTICATE");
        eve.authenticate(payload.as_bytes());
        let answer = eve.line();
        assert!(answer.is("904"), "{payload:?}: {answer}");
    }
}

fn aborted(world: &mut dyn World) {
    world.start(&CONFIG);
    world.register("ann");
    let mut ann = world.connect("ann");
    ann.introduce("ann", MODERN);
    ann.send("AUTHENTICATE SCRAM-SHA-256");
    ann.expect_command("AUTHENTICATE");
    ann.send("AUTHENTICATE *");
    ann.expect_command("906");
    ann.scram("ann", &password("ann"));
    ann.expect_command("903");
}

fn once_is_enough(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut ann = world.register("ann");
    ann.send("AUTHENTICATE PLAIN");
    ann.expect_command("907");
    ann.send("USER ann 0 * :Ann");
    ann.expect_command("462");
    ann.send("PASS secret");
    ann.expect_command("462");
}

fn handshake_out_of_order(world: &mut dyn World) {
    world.start(&CONFIG);
    world.register("ann");
    let mut eve = world.connect("eve");
    eve.introduce("ann", MODERN);
    // A final message where the first is due, and an unknown mechanism.
    eve.send("AUTHENTICATE SCRAM-SHA-256");
    eve.expect_command("AUTHENTICATE");
    eve.authenticate(b"c=biws,r=nonce,p=AAAA");
    eve.expect_command("904");
    eve.send("AUTHENTICATE SCRAM-MD5");
    eve.expect_command("908");
    eve.expect_none("login", |l| l.is("900") || l.is("903"));
}

fn two_devices(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut phone = world.register("ann");
    let mut desk = world.login("ann");
    let mut bob = world.register("bob");
    phone.join("#room");
    desk.expect("the other device joins too", |l| {
        l.is("JOIN") && l.nick() == "ann" && l.param(0) == "#room"
    });
    bob.join("#room");
    bob.say("#room", "hello both");
    phone.expect_text("hello both");
    desk.expect_text("hello both");
    phone.say("#room", "from the phone");
    bob.expect_text("from the phone");
    desk.expect_text("from the phone");
    bob.expect_none("a second copy", |l| l.is("PRIVMSG"));
    // One device goes: the account stays online.
    phone.send("QUIT :bye");
    phone.expect_closed();
    bob.say("ann", "still there?");
    bob.expect_none("301", |l| l.is("301"));
    desk.expect_text("still there?");
}

fn change_of_password(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut ann = world.register("ann");
    ann.send("ACCOUNT PASSWD * :something quite new");
    ann.expect("done", |l| l.standard("NOTE", "ACCOUNT", "PASSWD_DONE"));
    ann.send("ACCOUNT PASSWD * :");
    ann.expect("refusal", |l| l.is("FAIL") && l.param(0) == "ACCOUNT");
    let mut other = world.connect("ann");
    other.introduce("ann", MODERN);
    other.plain("ann", &password("ann"));
    other.expect_command("904");
    other.scram("ann", "something quite new");
    other.expect_command("903");
}

fn change_of_password_by_verifier(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut ann = world.register("ann");
    let salt = [7; 16];
    let salted = crate::scram::salted("the new one", &salt, 4096);
    let verifier = crate::scram::verifier(&salted, &salt, 4096);
    ann.send(format_args!("ACCOUNT PASSWD * :{verifier}"));
    ann.expect("done", |l| l.standard("NOTE", "ACCOUNT", "PASSWD_DONE"));
    let mut other = world.connect("ann");
    other.introduce("ann", MODERN);
    other.scram("ann", "the new one");
    other.expect_command("903");
}

fn disabled_account(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut owner = world.register("owner");
    let mut ann = world.register("ann");
    owner.send("ACCOUNT DISABLE ann");
    owner.expect("done", |l| l.standard("NOTE", "ACCOUNT", "DISABLE_DONE"));
    ann.expect_closed();
    let mut again = world.connect("ann");
    again.introduce("ann", MODERN);
    again.scram("ann", &password("ann"));
    again.expect_none("login", |l| l.is("903"));
    owner.send("ACCOUNT ENABLE ann");
    owner.expect("done", |l| l.standard("NOTE", "ACCOUNT", "ENABLE_DONE"));
    world.login("ann");
}

fn removed_account(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut owner = world.register("owner");
    let mut ann = world.register("ann");
    owner.join("#room");
    ann.join("#room");
    ann.say("#room", "my words stay");
    owner.send("ACCOUNT REMOVE ann");
    owner.expect("done", |l| l.standard("NOTE", "ACCOUNT", "REMOVE_DONE"));
    ann.expect_closed();
    let names = owner.ask("NAMES #room", "366");
    assert!(!names.iter().any(|l| l.is("353") && l.raw.contains("ann")));
    let history = owner.history("LATEST #room * 50");
    assert!(history.iter().any(|l| l.says("my words stay")));
    let mut again = world.connect("ann");
    again.introduce("ann", MODERN);
    again.scram("ann", &password("ann"));
    again.expect_none("login", |l| l.is("903"));
}

fn titles_and_owner(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut owner = world.register("owner");
    let mut ann = world.register("ann");
    for command in [
        "LIST",
        "SHOW owner",
        "DISABLE owner",
        "REMOVE owner",
        "PASSWD owner :mine now",
        "TITLE ann :boss",
        "OWNER ann",
        "DISOWN owner",
        "ADD eve :a long password",
    ] {
        ann.send(format_args!("ACCOUNT {command}"));
        ann.expect(&format!("refusal of {command}"), |l| {
            l.is("FAIL") && l.param(0) == "ACCOUNT"
        });
    }
    owner.send("ACCOUNT TITLE ann :moderator");
    owner.expect("done", |l| l.standard("NOTE", "ACCOUNT", "TITLE_DONE"));
    let whois = owner.ask("WHOIS ann", "318");
    assert!(
        whois.iter().any(|l| l.raw.contains("moderator")),
        "{whois:#?}"
    );
    world.restart();
    let mut owner = world.login("owner");
    let whois = owner.ask("WHOIS ann", "318");
    assert!(
        whois.iter().any(|l| l.raw.contains("moderator")),
        "{whois:#?}"
    );
    owner.send("ACCOUNT ADD eve :a long password");
    owner.expect("done", |l| l.standard("NOTE", "ACCOUNT", "ADD_DONE"));
    let mut eve = world.connect("eve");
    eve.introduce("eve", MODERN);
    eve.scram("eve", "a long password");
    eve.expect_command("903");
    // An owner can be made an ordinary account again, but not oneself: a server never loses its last owner so.
    owner.send("ACCOUNT DISOWN owner");
    owner.expect("refusal", |l| l.standard("FAIL", "ACCOUNT", "OWN_ACCOUNT"));
    let mut ann = world.login("ann");
    for (command, may) in [("OWNER", true), ("DISOWN", false)] {
        owner.send(format_args!("ACCOUNT {command} ann"));
        owner.expect("done", |l| {
            l.standard("NOTE", "ACCOUNT", &format!("{command}_DONE"))
        });
        ann.send("ACCOUNT SHOW owner");
        let answer = ann.expect("an answer", |l| l.is("NOTE") || l.is("FAIL"));
        assert_eq!(answer.is("NOTE"), may, "{answer}");
        ann.fence();
    }
}

fn display_name(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut ann = world.register("ann");
    let mut bob = world.register("bob");
    ann.join("#room");
    bob.join("#room");
    ann.send("SETNAME :安娜");
    ann.expect("own SETNAME", |l| l.is("SETNAME") && l.text() == "安娜");
    bob.expect("SETNAME", |l| {
        l.is("SETNAME") && l.text() == "安娜" && l.nick() == "ann"
    });
    world.restart();
    let mut bob = world.login("bob");
    let whois = bob.ask("WHOIS ann", "318");
    assert!(
        whois.iter().any(|l| l.is("311") && l.text() == "安娜"),
        "{whois:#?}"
    );
}

fn another_nick(world: &mut dyn World) {
    world.start(&CONFIG);
    let mut ann = world.register("ann");
    let mut bob = world.register("bob");
    // A nick is an account's name: nobody takes another's, nor one that is free.
    for nick in ["bob", "carol"] {
        let answers = ann.answers(format_args!("NICK {nick}"));
        assert!(
            !answers.is_empty() && !answers.iter().any(|l| l.is("NICK")),
            "{answers:#?}"
        );
    }
    bob.say("ann", "who are you?");
    ann.expect_text("who are you?");
}

fn guests(world: &mut dyn World) {
    world.start(&Config {
        guests: true,
        ..CONFIG
    });
    let mut owner = world.register("owner");
    owner.join("#room");
    let mut guest = world.connect("visitor");
    guest.introduce("visitor", MODERN);
    guest.send("CAP END");
    guest.expect_command("001");
    guest.welcomed();
    guest.join("#room");
    guest.say("#room", "just looking");
    owner.expect_text("just looking");
    // A guest cannot take a registered name, and ends with its last connection.
    let mut thief = world.connect("owner");
    thief.introduce("owner", MODERN);
    thief.send("CAP END");
    thief.expect_none("welcome as somebody else", |l| {
        l.is("001") && l.param(0) == "owner"
    });
    guest.send("QUIT :bye");
    guest.expect_closed();
    owner.expect("the guest's end", |l| l.is("PART") && l.nick() == "visitor");
    let names = owner.ask("NAMES #room", "366");
    assert!(
        !names
            .iter()
            .any(|l| l.is("353") && l.raw.contains("visitor"))
    );
}

/// A guest who registers keeps name and rooms, and is no guest any more.
fn guest_registers(world: &mut dyn World) {
    world.start(&Config {
        guests: true,
        ..CONFIG
    });
    world.register("owner");
    let mut visitor = world.connect("visitor");
    visitor.introduce("visitor", MODERN);
    visitor.send("CAP END");
    visitor.welcomed();
    visitor.join("#room");
    visitor.send(format_args!("REGISTER * * :{}", password("visitor")));
    visitor.expect("success", |l| l.is("REGISTER") && l.param(0) == "SUCCESS");
    visitor.send("QUIT");
    visitor.expect_closed();
    world.restart();
    let mut visitor = world.connect("visitor");
    visitor.introduce("visitor", MODERN);
    visitor.scram("visitor", &password("visitor"));
    visitor.expect_command("903");
    visitor.send("CAP END");
    visitor.welcomed();
    visitor.expect("the room again", |l| l.is("JOIN") && l.param(0) == "#room");
}

/// irssi logs in and ends the negotiation before it says NICK and USER.
fn nick_after_login(world: &mut dyn World) {
    world.start(&CONFIG);
    world.register("ann");
    for order in [
        ["CAP END", "NICK ann", "USER a 0 * :a"],
        ["USER a 0 * :a", "CAP END", "NICK other"],
    ] {
        let mut ann = world.connect("ann");
        ann.send("CAP REQ :sasl");
        ann.scram("ann", &password("ann"));
        ann.expect_command("903");
        for line in order {
            ann.send(line);
        }
        assert_eq!(ann.expect_command("001").param(0), "ann");
    }
}
