//! The adapter for smoltcp: what peers do that mean well, that mean harm, and that vanish.

mod bench;
mod measure;

use smoltcp::socket::tcp::State;
use smoltcp::wire::{IpAddress, IpCidr};
use soqet_core::adapters::smoltcp::{CLOSE_MS, CROWDED_MS, HALF_OPEN_MS, Port, TIMEOUT_MS};
use soqet_core::server::Protocol;
use soqet_sim::draw::Draw;
use soqet_sim::ether::Weather;

use bench::{SERVER, SOCKETS, with, with_ports};

#[test]
fn a_line_is_answered() {
    with(12, (512, 1024), |bench| {
        let peer = bench.connect(Weather::FAIR);
        bench.pass(100);
        bench.say(peer, "PING one\r\n");
        bench.hear(peer, "PONG");
        assert_eq!(bench.network.counts().opened, 1);
        assert_eq!(bench.listening(), SOCKETS - 1);
    });
}

#[test]
fn the_thirteenth_is_told_and_the_fifteenth_is_reset() {
    with(12, (512, 1024), |bench| {
        for _ in 0..12 {
            bench.connect(Weather::FAIR);
        }
        bench.pass(100);
        let late: Vec<usize> = (0..2).map(|_| bench.connect(Weather::FAIR)).collect();
        bench.pass(5);
        for peer in &late {
            bench.hear(*peer, "full");
            assert_eq!(bench.socket(*peer).state(), State::CloseWait);
        }
        // Neither closes, so both keep their slots for a while.
        let last = bench.connect(Weather::FAIR);
        bench.pass(10);
        assert_eq!(bench.socket(last).state(), State::Closed);
        assert_eq!(bench.listening(), 0);
        bench.socket(late[0]).close();
        bench.pass(100);
        assert_eq!(bench.listening(), 1);
        bench.pass(CLOSE_MS);
        assert_eq!(bench.listening(), 2);
        assert_eq!(bench.network.counts().refused, 2);
        // All others chat on, and so does who comes after one of them has left.
        for peer in 0..12 {
            bench.say(peer, "PING still\r\n");
            bench.hear(peer, "still");
        }
        bench.say(3, "QUIT\r\n");
        bench.hear(3, "ERROR");
        bench.dial(last, 50_001);
        bench.pass(10);
        bench.say(last, "PING me\r\n");
        bench.hear(last, "PONG");
    });
}

#[test]
fn a_slot_listens_again_right_after_a_close() {
    with(12, (512, 1024), |bench| {
        for round in 0..50 {
            let peer = if round == 0 {
                bench.connect(Weather::FAIR)
            } else {
                bench.peers[0].read.clear();
                bench.dial(0, 50_000 + round);
                0
            };
            bench.pass(10);
            bench.say(peer, "PING one\r\n");
            bench.hear(peer, "PONG");
            match round % 4 {
                // The server ends first and would have to wait.
                0 => {
                    bench.say(peer, "QUIT\r\n");
                    bench.hear(peer, "ERROR");
                    bench.socket(peer).close();
                }
                1 => bench.socket(peer).close(),
                2 => {
                    bench.say(peer, "PING two\r\nhalf a li");
                    bench.socket(peer).close();
                }
                _ => bench.socket(peer).abort(),
            }
            bench.pass(100);
            assert_eq!(bench.listening(), SOCKETS, "round {round}");
            assert_eq!(bench.server.counts().connections, 0, "round {round}");
            bench.socket(peer).abort();
            bench.pass(10);
        }
    });
}

#[test]
fn who_ends_its_side_is_answered_before() {
    with(12, (512, 1024), |bench| {
        let peer = bench.connect(Weather::FAIR);
        bench.pass(10);
        bench.say(peer, "PING one\r\nPING two\r\n");
        bench.socket(peer).close();
        bench.pass(100);
        let read = &bench.peers[peer].read;
        assert!(read.contains("two") && read.contains("ERROR"), "{read}");
        assert_eq!(bench.socket(peer).state(), State::TimeWait);
    });
}

#[test]
fn a_flood_of_half_open_connections_passes() {
    with(12, (512, 1024), |bench| {
        let old = bench.connect(Weather::FAIR);
        bench.pass(10);
        // A station whose acknowledgements are never sent: its card is full as soon as it has sent the first frame.
        let flood: Vec<usize> = (0..30).map(|_| bench.connect(Weather::FAIR)).collect();
        for peer in &flood {
            bench.peers[*peer].mute = true;
        }
        bench.pass(20);
        assert_eq!(bench.listening(), 0);
        assert_eq!(bench.count(State::SynReceived), SOCKETS - 1);
        // Slots come free one by one even while it goes on,
        bench.pass(CROWDED_MS);
        assert_eq!(bench.listening(), 1);
        let new = bench.connect(Weather::FAIR);
        bench.pass(5);
        bench.say(new, "PING new\r\n");
        bench.hear(new, "PONG");
        // and all are when it is over.
        bench.pass(HALF_OPEN_MS);
        assert_eq!(bench.listening(), SOCKETS - 2);
        assert_eq!(bench.network.counts().expired as usize, SOCKETS - 1);
        bench.say(old, "PING old\r\n");
        bench.hear(old, "PONG");
    });
}

#[test]
fn who_vanishes_is_noticed() {
    with(12, (512, 1024), |bench| {
        let peer = bench.connect(Weather::FAIR);
        bench.pass(10);
        assert_eq!(bench.server.counts().connections, 1);
        let number = bench.peers[peer].station.number;
        bench.switch.unplug(number);
        bench.pass(TIMEOUT_MS - 1_000);
        assert_eq!(bench.server.counts().connections, 1);
        bench.pass(3_000);
        assert_eq!(bench.server.counts().connections, 0);
        assert_eq!(bench.listening(), SOCKETS);
    });
}

#[test]
fn an_idle_peer_is_not_given_up() {
    with(12, (512, 1024), |bench| {
        let peer = bench.connect(Weather::FAIR);
        bench.pass(100_000);
        bench.say(peer, "PING late\r\n");
        bench.hear(peer, "PONG");
    });
}

#[test]
fn a_slow_reader_slows_nobody_and_loses_nothing() {
    with(12, (512, 1024), |bench| {
        let (slow, other) = (bench.connect(Weather::FAIR), bench.connect(Weather::FAIR));
        bench.pass(10);
        bench.peers[slow].reads = false;
        let mut sent = 0;
        for _ in 0..1_000 {
            let line = format!("PING {sent:06}\r\n");
            if !bench.try_say(slow, &line) {
                break;
            }
            sent += 1;
            bench.pass(1);
        }
        // Its window, the server's buffers, the window back: then nothing moves.
        assert!((100..1_000).contains(&sent), "{sent} lines were taken");
        bench.say(other, "PING other\r\n");
        bench.hear(other, "PONG");
        bench.peers[slow].reads = true;
        bench.hear(slow, &format!("{:06}", sent - 1));
        let read = &bench.peers[slow].read;
        for n in 0..sent {
            assert_eq!(
                read.matches(&format!("{n:06}\r\n")).count(),
                1,
                "{n} of {sent}"
            );
        }
    });
}

#[test]
fn input_that_had_to_wait_is_taken_as_soon_as_the_server_takes_it() {
    with(12, (512, 1024), |bench| {
        let peer = bench.connect(Weather::FAIR);
        bench.pass(10);
        bench.say(
            peer,
            "CAP REQ :echo-message\r\nNICK ann\r\nUSER u 0 * :r\r\nCAP END\r\nJOIN #a\r\n",
        );
        bench.hear(peer, " 366 ");
        // The store takes a while for each, so that all buffers between are full.
        let mut said = 0;
        let begun = bench.now;
        while said < 200 {
            let line = format!("PRIVMSG #a :{said:06}\r\n");
            if bench.try_say(peer, &line) {
                said += 1;
            } else {
                bench.pass(1);
            }
        }
        bench.hear(peer, "000199");
        let took = bench.now - begun;
        // A keep-alive would find it, too, but only after seconds.
        assert!(took < 2_000, "{took} ms");
    });
}

#[test]
fn a_reset_at_any_time_frees_the_slot() {
    for at in 0..60 {
        with(12, (512, 512), |bench| {
            let peer = bench.connect(Weather::FAIR);
            let mut said = 0;
            for _ in 0..at {
                let line = format!("PING {said}\r\n");
                if bench.try_say(peer, &line) {
                    said += 1;
                }
                bench.pass(1);
            }
            bench.socket(peer).abort();
            bench.pass(HALF_OPEN_MS);
            assert_eq!(bench.listening(), SOCKETS, "after {at} ms");
            assert_eq!(bench.server.counts().connections, 0);
            bench.dial(peer, 50_001);
            bench.pass(10);
            bench.say(peer, "PING again\r\n");
            bench.hear(peer, "again");
        });
    }
}

#[test]
fn each_port_has_a_listener_as_long_as_there_are_enough() {
    let ports = [6667, 80].map(|number| Port {
        number,
        protocol: Protocol::Irc,
    });
    with_ports(14, (512, 1024), &ports, |bench| {
        bench.pass(10);
        assert_eq!((bench.listening_on(6667), bench.listening_on(80)), (7, 7));
        for _ in 0..12 {
            bench.connect(Weather::FAIR);
            bench.pass(10);
            assert!(bench.listening_on(6667) > 0 && bench.listening_on(80) > 0);
        }
        assert_eq!(bench.server.counts().connections, 12);
        bench.target = 80;
        bench.connect(Weather::FAIR);
        bench.pass(10);
        assert_eq!((bench.listening_on(6667), bench.listening_on(80)), (1, 0));
        // Who leaves one port makes room on the other.
        bench.socket(0).abort();
        bench.pass(10);
        assert_eq!((bench.listening_on(6667), bench.listening_on(80)), (1, 1));
    });
}

#[test]
fn another_address_ends_all_connections_at_once() {
    with(12, (512, 1024), |bench| {
        for _ in 0..5 {
            bench.connect(Weather::FAIR);
        }
        bench.pass(100);
        assert_eq!(bench.server.counts().connections, 5);
        bench.station.iface.update_ip_addrs(|addresses| {
            addresses[0] = IpCidr::new(IpAddress::v4(10, 0, 7, 7), 16);
        });
        bench.step_at = bench.now;
        bench.pass(1);
        assert_eq!(bench.server.counts().connections, 0);
        assert_eq!(bench.listening(), SOCKETS);
    });
}

#[test]
fn rubbish_on_the_wire_stops_nobody() {
    with(12, (512, 1024), |bench| {
        let peer = bench.connect(Weather::FAIR);
        bench.pass(10);
        let mut draw = Draw::new(3, 1);
        for round in 0..3_000 {
            let mut frame = vec![0; draw.size(0, 200)];
            draw.fill(&mut frame);
            // As if it were meant for the server, and IPv4, TCP to its port, as far as the frame goes.
            let head = [2, 0, 0, 0, 0, SERVER as u8, 2, 0, 0, 0, 0, 9, 8, 0, 0x45];
            let upto = draw.size(0, head.len()).min(frame.len());
            frame[..upto].copy_from_slice(&head[..upto]);
            bench.switch.send(bench.now, 2, &frame);
            if round % 10 == 0 {
                bench.pass(1);
            }
        }
        bench.pass(100);
        bench.say(peer, "PING one\r\n");
        bench.hear(peer, "PONG");
        assert_eq!(bench.listening(), SOCKETS - 1);
    });
}

#[test]
fn damaged_lost_doubled_and_late_frames_change_no_byte() {
    for seed in 0..20 {
        with(12, (512, 512), |bench| {
            let mut draw = Draw::new(seed, 1);
            let peer = bench.connect(Weather {
                min_ms: 1,
                max_ms: 80,
                loss: 50,
                double: 50,
                late: 50,
                damage: 50,
                bandwidth: 0,
            });
            let mut said = 0;
            while said < 300 {
                let line = format!("PING {said:06}\r\n");
                if bench.try_say(peer, &line) {
                    said += 1;
                }
                bench.pass(draw.between(1, 60));
            }
            bench.pass(60_000);
            let read = &bench.peers[peer].read;
            let expected: Vec<String> = (0..300).map(|n| format!("{n:06}")).collect();
            let got: Vec<&str> = read.lines().filter_map(|l| l.rsplit(' ').next()).collect();
            let got: Vec<&str> = got.iter().map(|g| g.trim_start_matches(':')).collect();
            assert_eq!(got, expected, "seed {seed}");
        });
    }
}
