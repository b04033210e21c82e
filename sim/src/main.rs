//! `soqet-sim`: runs seeds of the simulated world.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use soqet_sim::ether::pcap;
use soqet_sim::{Net, Options, Report, Sabotage, run};

/// How many of the last events are shown of a failure.
const SHOWN: usize = 150;

#[derive(Parser)]
#[command(version, about = "Runs soQet's server in a simulated world")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs one seed.
    Run {
        /// The seed.
        #[arg(long)]
        seed: u64,
        /// Prints the report as JSON.
        #[arg(long)]
        json: bool,
        /// Prints all events.
        #[arg(long)]
        trace: bool,
        /// Lets the store break its contract.
        #[arg(long, value_enum, default_value_t)]
        sabotage: Broken,
        /// What joins clients and server.
        #[arg(long, value_enum, default_value_t)]
        net: Joined,
        /// Stores everything on simulated flash, as a board does.
        #[arg(long)]
        flash: bool,
        /// Writes all frames into a file for Wireshark.
        #[arg(long)]
        pcap: Option<PathBuf>,
    },
    /// Runs many seeds; stops at the first failure unless told otherwise.
    Swarm {
        /// First and past-the-last seed, as `A..B`.
        #[arg(long, value_parser = seeds)]
        seeds: std::ops::Range<u64>,
        /// Goes on after failures.
        #[arg(long)]
        keep_going: bool,
        /// What joins clients and server.
        #[arg(long, value_enum, default_value_t)]
        net: Joined,
        /// Stores everything on simulated flash, as a board does.
        #[arg(long)]
        flash: bool,
    },
}

/// How the store breaks its contract.
#[derive(Clone, Copy, Default, ValueEnum)]
enum Broken {
    /// Not at all.
    #[default]
    None,
    /// It acknowledges what a crash can undo.
    AcknowledgeEarly,
    /// It forgets the newest entries at a crash.
    ForgetAtCrash,
    /// It stores repeated entries twice.
    StoreTwice,
}

impl From<Broken> for Sabotage {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::None => Self::None,
            Broken::AcknowledgeEarly => Self::AcknowledgeEarly,
            Broken::ForgetAtCrash => Self::ForgetAtCrash,
            Broken::StoreTwice => Self::StoreTwice,
        }
    }
}

/// What joins clients and server.
#[derive(Clone, Copy, Default, ValueEnum)]
enum Joined {
    /// Byte pipes: connections that keep what TCP promises.
    #[default]
    Pipes,
    /// smoltcp at both ends, over an Ethernet with faults of its own.
    Smoltcp,
}

impl From<Joined> for Net {
    fn from(joined: Joined) -> Self {
        match joined {
            Joined::Pipes => Self::Pipes,
            Joined::Smoltcp => Self::Smoltcp,
        }
    }
}

fn seeds(text: &str) -> Result<std::ops::Range<u64>, String> {
    let (from, to) = text.split_once("..").ok_or("not of the form A..B")?;
    let number = |text: &str| text.parse().map_err(|_| format!("{text:?} is no number"));
    Ok(number(from)?..number(to)?)
}

fn main() -> ExitCode {
    let failed = match Arguments::parse().command {
        Command::Run {
            seed,
            json,
            trace,
            sabotage,
            net,
            flash,
            pcap,
        } => {
            let options = Options {
                net: net.into(),
                frames: pcap.is_some(),
                trace: if trace { usize::MAX } else { 0 },
                sabotage: sabotage.into(),
                flash,
            };
            let report = run(seed, options);
            if let Some(path) = pcap
                && let Err(why) = save(&path, &report)
            {
                eprintln!("{}: {why}", path.display());
                return ExitCode::FAILURE;
            }
            for line in &report.trace {
                println!("{line}");
            }
            if json {
                match serde_json::to_string_pretty(&report) {
                    Ok(text) => println!("{text}"),
                    Err(why) => eprintln!("{why}"),
                }
            } else {
                println!("{}", summary(&report));
            }
            if report.failure.is_some() && !trace {
                explain(&report, options);
            }
            u64::from(report.failure.is_some())
        }
        Command::Swarm {
            seeds,
            keep_going,
            net,
            flash,
        } => {
            let options = Options {
                net: net.into(),
                flash,
                ..Options::default()
            };
            swarm(seeds, keep_going, options)
        }
    };
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn save(path: &Path, report: &Report) -> std::io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    pcap::write(&mut file, &report.frames)?;
    file.flush()
}

fn swarm(seeds: std::ops::Range<u64>, keep_going: bool, options: Options) -> u64 {
    let (mut failures, mut ran, mut acked, mut crashes) = (0, 0, 0, 0);
    for seed in seeds {
        let report = run(seed, options);
        ran += 1;
        acked += report.acked;
        crashes += report.crashes;
        if report.failure.is_some() {
            failures += 1;
            println!("{}", summary(&report));
            if !keep_going {
                explain(&report, options);
                break;
            }
        }
    }
    println!("{ran} seeds, {failures} failed; {acked} messages acknowledged, {crashes} crashes");
    failures
}

fn summary(report: &Report) -> String {
    let verdict = report.failure.as_deref().unwrap_or("all is well");
    format!(
        "seed {}: {verdict}\n  digest {}, {} events in {} virtual seconds, {} connections ({} refused), {} crashes, {} messages ({} acknowledged, {} refused), {} commits, {} gaps",
        report.seed,
        report.digest,
        report.events,
        report.virtual_ms / 1000,
        report.accepted,
        report.refused,
        report.crashes,
        report.meant,
        report.acked,
        report.failed,
        report.commits,
        report.gaps,
    )
}

/// Runs a failed seed again to tell its last events, and how to see it again.
fn explain(report: &Report, options: Options) {
    let again = run(
        report.seed,
        Options {
            trace: SHOWN,
            ..options
        },
    );
    for line in &again.trace {
        eprintln!("{line}");
    }
    eprintln!("{}", report.failure.as_deref().unwrap_or_default());
    if again.digest != report.digest {
        eprintln!(
            "the second run was another one: {} is not {}",
            again.digest, report.digest
        );
    }
    let net = match options.net {
        Net::Pipes => "",
        Net::Smoltcp => " --net smoltcp",
    };
    let flash = if options.flash { " --flash" } else { "" };
    eprintln!(
        "replay: cargo run --release -p soqet-sim -- run --seed {}{net}{flash} --trace",
        report.seed
    );
}
