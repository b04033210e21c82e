//! Input that no client should send: the server answers in words, and nobody else notices.

use super::CONFIG;
use crate::client::Client;
use crate::person::MODERN;
use crate::world::World;

super::scenarios![
    too_long_lines,
    no_newline_for_ever,
    nul,
    invalid_utf8,
    a_hundred_parameters,
    unknown_commands,
    odd_line_ends,
    base64_rubbish,
    payloads_without_end,
    broken_tags,
    random_bytes,
    lines_injected_by_text,
    flooding,
];

/// Says something after a test's mischief, to see that the connection still works.
fn still_works(client: &mut Client) {
    client.expect_none("a forged message", |l| l.is("PRIVMSG"));
    client.say("#room", "still here");
}

fn member(world: &mut dyn World) -> Client {
    world.start(&CONFIG);
    let mut ann = world.register("ann");
    ann.join("#room");
    ann
}

fn too_long_lines(world: &mut dyn World) {
    let mut ann = member(world);
    for length in [513, 600, 4096, 10_000, 100_000] {
        let text = "x".repeat(length);
        ann.send(format_args!("PRIVMSG #room :{text}"));
        let answer = ann.line();
        // Either refused, or (tags have room of their own) accepted whole or cut; what follows it is another line.
        assert!(
            answer.is("417") || answer.is("FAIL") || answer.is("PRIVMSG"),
            "{length}: {answer}"
        );
        if length > 8192 + 512 {
            assert!(!answer.is("PRIVMSG"), "{length}: {answer}");
        }
    }
    let tags = "x".repeat(9000);
    ann.send(format_args!("@+x={tags} PRIVMSG #room :tagged"));
    ann.expect("refusal", |l| l.is("417") || l.is("FAIL"));
    still_works(&mut ann);
}

fn no_newline_for_ever(world: &mut dyn World) {
    let mut ann = member(world);
    let mut eve = world.connect("eve");
    let block = [b'x'; 64 * 1024];
    for _ in 0..64 {
        eve.send_bytes(&block);
    }
    // It may be cut off; if not, the rest of the line is skipped.
    eve.send_bytes(b"\r\nPING end\r\n");
    let mut open = true;
    while open {
        match eve.poll(crate::world::PATIENCE) {
            Some(line) if line.is("PONG") => break,
            Some(line) => assert!(!line.is("PRIVMSG"), "{line}"),
            None => open = eve.pump(),
        }
    }
    still_works(&mut ann);
}

fn nul(world: &mut dyn World) {
    let mut ann = member(world);
    ann.send_bytes(b"PRIVMSG #room :a\0b\r\n");
    for line in ann.fence() {
        assert!(!line.raw.contains('\0'), "{line}");
    }
    ann.send_bytes(b"\0\0\0\r\nPRIV\0MSG #room :x\r\n");
    still_works(&mut ann);
}

fn invalid_utf8(world: &mut dyn World) {
    let mut ann = member(world);
    let mut bob = world.register("bob");
    bob.join("#room");
    for text in [
        &b"\xff"[..],
        b"caf\xe9",
        b"\xc3",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xc0\xaf",
    ] {
        ann.send_bytes(&[b"PRIVMSG #room :", text, b"\r\n"].concat());
        ann.expect("FAIL INVALID_UTF8", |l| {
            l.is("FAIL") && l.param(1) == "INVALID_UTF8"
        });
        ann.send_bytes(&[b"TOPIC #room :", text, b"\r\n"].concat());
        ann.expect("FAIL INVALID_UTF8", |l| {
            l.is("FAIL") && l.param(1) == "INVALID_UTF8"
        });
    }
    bob.expect_none("what was refused", |l| l.is("PRIVMSG") || l.is("TOPIC"));
    still_works(&mut ann);
}

fn a_hundred_parameters(world: &mut dyn World) {
    let mut ann = member(world);
    let many = "x ".repeat(100);
    for command in [
        "JOIN",
        "NAMES",
        "MODE #room",
        "PRIVMSG #room",
        "WHOIS",
        "ISON",
        "MONITOR +",
        "NOSUCH",
    ] {
        ann.answers(format_args!("{command} {many}"));
    }
    let commas = "#x,".repeat(150);
    ann.answers(format_args!("JOIN {commas}"));
    let modes = "o".repeat(100);
    ann.answers(format_args!("MODE #room +{modes} {}", "ann ".repeat(50)));
    ann.fence();
    ann.say("#room", "still here");
}

fn unknown_commands(world: &mut dyn World) {
    let mut ann = member(world);
    for command in [
        "X",
        "123",
        "001",
        "PRIVMSGX",
        "привет",
        "-",
        "=",
        "\\",
        "ERROR x",
        "SQUIT x",
        "KILL ann x",
        "OPER a b",
    ] {
        let answers = ann.answers(command);
        assert!(
            answers.iter().any(|l| l.is("421") || l.is("FAIL"))
                || answers.iter().all(|l| l.command.starts_with('4')),
            "{command}: {answers:#?}"
        );
    }
    still_works(&mut ann);
}

fn odd_line_ends(world: &mut dyn World) {
    let mut ann = member(world);
    ann.send_bytes(b"\r\n\n\n\r\n   \r\nPING one\nPING two\r\n\rPING three\n");
    for token in ["one", "two"] {
        assert_eq!(ann.expect_command("PONG").text(), token);
    }
    // A source is ignored, extra spaces are not a parameter.
    ann.send_bytes(b":bob!bob@x   PRIVMSG    #room   :hello\r\n");
    let echo = ann.expect_text("hello");
    assert_eq!(echo.nick(), "ann");
    // Byte by byte.
    for byte in b"PING slowly\r\n" {
        ann.send_bytes(&[*byte]);
    }
    ann.expect("PONG", |l| l.is("PONG") && l.text() == "slowly");
    still_works(&mut ann);
}

fn base64_rubbish(world: &mut dyn World) {
    world.start(&CONFIG);
    world.register("ann");
    for mechanism in ["PLAIN", "SCRAM-SHA-256"] {
        let mut eve = world.connect("eve");
        eve.introduce("ann", MODERN);
        for rubbish in [
            "!!!!", "====", "YQ", "YQ=", "YQ==YQ==", "Y Q = =", "\u{1}", "+", "AAAAA", "//8=",
        ] {
            eve.send(format_args!("AUTHENTICATE {mechanism}"));
            eve.expect("+", |l| l.is("AUTHENTICATE") && l.param(0) == "+");
            eve.send(format_args!("AUTHENTICATE {rubbish}"));
            let answer = eve.line();
            assert!(
                answer.is("904") || answer.is("421") || answer.is("461"),
                "{mechanism} {rubbish}: {answer}"
            );
        }
        eve.expect_none("login", |l| l.is("900") || l.is("903"));
    }
}

fn payloads_without_end(world: &mut dyn World) {
    world.start(&CONFIG);
    world.register("ann");
    let mut eve = world.connect("eve");
    eve.introduce("ann", MODERN);
    eve.send(format_args!("AUTHENTICATE {}", "A".repeat(401)));
    eve.expect("too long", |l| l.is("905") || l.is("904") || l.is("908"));
    eve.send("AUTHENTICATE PLAIN");
    eve.expect_command("AUTHENTICATE");
    let piece = "A".repeat(400);
    for _ in 0..100 {
        eve.send(format_args!("AUTHENTICATE {piece}"));
    }
    eve.expect("an end", |l| l.is("905") || l.is("904"));
    eve.fence();
}

fn broken_tags(world: &mut dyn World) {
    let mut ann = member(world);
    for line in [
        "@",
        "@ ",
        "@;;;; PING a",
        "@= PING a",
        "@+ PING a",
        "@a=b=c PING a",
        "@label= PING a",
        "@label PING a",
        "@+x=\\ PING a",
        "@+ü=1 PING a",
        "@a;a;a;label=1;label=2 PING a",
        "@PING",
        "@a :source PING a",
        ":source",
        ":",
        ": PING a",
        "@x :y",
    ] {
        ann.answers(line);
    }
    let label = "x".repeat(500);
    ann.answers(format_args!("@label={label} PING a"));
    still_works(&mut ann);
}

fn random_bytes(world: &mut dyn World) {
    let mut ann = member(world);
    // xorshift64: rubbish, the same every time.
    let mut state: u64 = 0x5eed_cafe_f00d_d00d;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for round in 0..40 {
        let mut eve = world.connect("eve");
        if round % 2 == 0 {
            eve.introduce("eve", MODERN);
        }
        let bytes: Vec<u8> = (0..2000).map(|_| random() as u8).collect();
        eve.send_bytes(&bytes);
        eve.send_bytes(b"\r\nQUIT\r\n");
        eve.expect_closed();
    }
    still_works(&mut ann);
}

fn lines_injected_by_text(world: &mut dyn World) {
    let mut ann = member(world);
    let mut bob = world.register("bob");
    bob.join("#room");
    // Nothing that one says starts a line of its own at another's.
    for line in [
        "PRIVMSG #room :a\rPRIVMSG #room :forged",
        "TOPIC #room :a\rb",
        "AWAY :a\rb",
        "SETNAME :a\rb",
        "@+x=a\\r\\nPRIVMSG\\s#room\\s:forged PRIVMSG #room :tagged",
        "KICK #room ann :a\rb",
    ] {
        ann.answers(line);
    }
    for line in bob.fence() {
        assert!(!line.raw.contains('\r'), "{line}");
        assert!(line.nick() == "ann" || line.source.len() > 3, "{line}");
        assert_ne!(line.text(), "forged");
    }
}

fn flooding(world: &mut dyn World) {
    world.start(&soqet_core::config::Config {
        flood: soqet_core::config::Rate {
            burst: 20,
            every_ms: 5,
        },
        ..CONFIG
    });
    let mut ann = world.register("ann");
    let mut eve = world.register("eve");
    ann.join("#room");
    eve.join("#room");
    for n in 0..300 {
        eve.send(format_args!("PRIVMSG #room :{n}"));
    }
    // A flooder is slowed down (nothing is lost), or is told; others go on meanwhile.
    ann.say("#room", "in between");
    let got = ann.until("the last", |l| l.says("299"));
    let said: Vec<_> = got
        .iter()
        .filter(|l| l.nick() == "eve" && l.is("PRIVMSG"))
        .map(|l| l.text().to_owned())
        .collect();
    assert_eq!(said.last().map(String::as_str), Some("299"));
    eve.fence();
}
