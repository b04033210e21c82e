//! What buffers of a socket are worth: `cargo test --release -p soqet-sim --test smoltcp -- --ignored --nocapture`.

use smoltcp::time::Duration;
use soqet_sim::ether::Weather;

use crate::bench::{Bench, with};

/// A cable of so many milliseconds.
const fn cable(ms: u64) -> Weather {
    Weather {
        min_ms: ms,
        max_ms: ms,
        ..Weather::FAIR
    }
}

/// Twelve guests in a room, whose hosts receive as much and acknowledge as late as Linux does.
fn room(bench: &mut Bench<'_>, weather: Weather) {
    for member in 0..12 {
        bench.connect_with(weather, 60_000);
        bench
            .socket(member)
            .set_ack_delay(Some(Duration::from_millis(40)));
        bench.pass(10 * weather.max_ms);
        let caps = "CAP REQ :echo-message message-tags server-time\r\n";
        let login = format!("{caps}NICK member{member}\r\nUSER u 0 * :r\r\nCAP END\r\n");
        bench.say(member, &login);
        bench.hear(member, " 422 ");
        bench.say(member, "JOIN #room\r\n");
        bench.hear(member, " 366 ");
    }
    bench.pass(1_000);
}

/// Milliseconds until all have read the last of `count` messages of 100 bytes that the first says.
fn fan_out(bench: &mut Bench<'_>, count: usize) -> u64 {
    let begun = bench.now;
    let mut said = 0;
    while said < count {
        let line = format!("PRIVMSG #room :{}{count:03}{said:03}\r\n", "x".repeat(100));
        if bench.try_say(0, &line) {
            said += 1;
        } else {
            bench.pass(1);
        }
    }
    let last = format!("{count:03}{:03}\r\n", count - 1);
    loop {
        let waiting = bench.peers.iter().filter(|p| !p.read.contains(&last));
        if waiting.count() == 0 {
            return bench.now - begun;
        }
        bench.pass(1);
        assert!(bench.now - begun < 60_000);
    }
}

/// Milliseconds until 200 lines of 60 bytes are answered.
fn paste(bench: &mut Bench<'_>) -> u64 {
    let begun = bench.now;
    let mut said = 0;
    while said < 200 {
        let line = format!("PING {}{said:06}\r\n", "y".repeat(47));
        if bench.try_say(1, &line) {
            said += 1;
        } else {
            bench.pass(1);
        }
    }
    bench.hear(1, "y000199\r\n");
    bench.now - begun
}

#[test]
#[ignore = "a measurement"]
fn buffers() {
    println!(
        "| cable ms | receive | send | 1 message | 50 messages | per second and member | gaps | 200 lines pasted |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for ms in [1, 10, 50] {
        for buffers in [
            (256, 512),
            (512, 256),
            (512, 512),
            (512, 768),
            (512, 1024),
            (512, 1536),
            (512, 2048),
            (1024, 1024),
            (1024, 2048),
            (2048, 4096),
        ] {
            with(12, buffers, |bench| {
                room(bench, cable(ms));
                let (one, many) = (fan_out(bench, 1), fan_out(bench, 50));
                let gaps = bench
                    .peers
                    .iter()
                    .filter(|p| p.read.contains("missed"))
                    .count();
                let pasted = paste(bench);
                let (receive, send) = buffers;
                println!(
                    "| {ms} | {receive} | {send} | {one} | {many} | {} | {gaps} | {pasted} |",
                    50_000 / many
                );
            });
        }
    }
}
