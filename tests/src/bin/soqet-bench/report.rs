//! Writes docs/benchmarks.md.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The peers' figures by row: ngIRCd, InspIRCd, Ergo, raw. From shared/facts/peers.md, measured once on a machine like this one.
const PEERS: &[(&str, [&str; 4])] = &[
    (
        "fan-out",
        [
            "0.92 M (2.0 M with TCP_NODELAY)",
            "0.87 M (3.65 M with TCP_NODELAY)",
            "0.15 M",
            "9.9 M",
        ],
    ),
    (
        "flood",
        [
            "2.2 M",
            "2.5 M",
            "0.15 M, kills 99 of 100 clients",
            "14.9 M",
        ],
    ),
    ("20 channels", ["0.63 M", "0.75 M", "0.14 M", "3.4 M"]),
    ("with message-tags", ["-", "0.90 M", "0.17 M", "-"]),
    (
        "latency",
        [
            "0.6 / 35.7 ms",
            "0.5 / 35.9 ms",
            "0.6 / 1.9 ms",
            "0.4 / 1.1 ms",
        ],
    ),
    ("private", ["57.6 k", "60.4 k", "41.2 k", "75.6 k"]),
    ("memory", ["2.8 KB", "2.0 KB", "22.1 KB", "0.3 KB"]),
    ("connects", ["346", "486", "4,080", "25 k"]),
    ("registrations", ["-", "-", "447", "-"]),
    (
        "a member",
        [
            "dropped after 0.2 s",
            "dropped after 1.9 s, +1 MB",
            "never seen as gone in 20 s, +0.8 MB",
            "+621 MB",
        ],
    ),
];

/// Writes the table of what was measured.
pub fn write(rows: &[(&str, String)], busy: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut text = format!(
        "# Benchmarks\n\n\
         `cargo xtask bench` wrote this page: it builds the server with optimisations, runs it on core 0 and a single-threaded load\n\
         client on core 1 of the same machine, over loopback, throttles off, and checks that every delivery comes once and in order.\n\n\
         Machine: {}, {} cores, Linux {}. Date: {}. Commit: {}. Load average\n\
         when it began: {busy} (0 is a quiet machine; other work shares the two cores with server and client).\n\n\
         soQet stores every message before anybody sees it (SQLite, synchronous=FULL), on the same core 0; the peers keep nothing\n\
         here. Their figures are copied from an earlier measurement on such a machine (ngIRCd 26.1 and InspIRCd 3.15 from Debian, Ergo\n\
         2026; \"raw\" is a broadcast server on bare epoll that only splits lines: the bound). Ratios count; absolute figures of shared\n\
         virtual machines drift by 30 %.\n\n\
         | | **soQet** | ngIRCd | InspIRCd | Ergo | raw |\n|---|---|---|---|---|---|\n",
        machine(),
        cpuinfo()
            .filter(|line| line.starts_with("processor"))
            .count(),
        said("uname", &["-r"]),
        said("date", &["-u", "+%Y-%m-%d"]),
        said("git", &["rev-parse", "--short", "HEAD"]),
    );
    for (row, result) in rows {
        let peers = PEERS
            .iter()
            .find(|(start, _)| row.starts_with(start))
            .map_or(["-"; 4], |(_, cells)| *cells);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| {row} | **{result}** | {} |", peers.join(" | "));
    }
    text += "\n\
        - Fan-out: a sender is at most 1,000 messages ahead of what members have received on average; the sender itself gets no copy.\n\
        - 20 channels: one sender each. Ping-pong: both sides answer at once.\n\
        - Memory: VmRSS of the process before and after 9,900 more clients registered and stay logged in, divided.\n\
        - Connects: TCP connect, capabilities, SCRAM-SHA-256 login and welcome, a hundred at a time; the peers only registered a nick.\n\
        - Registrations, a hundred at a time: 4,000 with verifiers; 200 with passwords, for which the server derives 10,000 rounds each.\n";
    let path = root.join("docs/benchmarks.md");
    fs::write(&path, text).expect("write docs/benchmarks.md");
    println!("wrote docs/benchmarks.md");
}

/// How many were running or waiting for a core over the last minute.
pub fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("unknown").to_owned()
}

fn machine() -> String {
    let name = cpuinfo().find_map(|line| line.strip_prefix("model name").map(str::to_owned));
    name.map_or("unknown".to_owned(), |rest| {
        rest.trim_start_matches(['\t', ' ', ':']).to_owned()
    })
}

fn cpuinfo() -> impl Iterator<Item = String> {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    info.lines()
        .map(str::to_owned)
        .collect::<Vec<_>>()
        .into_iter()
}

fn said(program: &str, words: &[&str]) -> String {
    let output = Command::new(program).args(words).output();
    output.map_or_else(
        |_| "unknown".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}
