//! Steps of a long chore: each is named when it starts and timed when it ends, and all are listed at the end.

use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How a step ended.
pub enum Outcome {
    /// As it should.
    Passed,
    /// Not run, and why.
    Skipped(String),
    /// Not as it should.
    Failed,
}

impl From<bool> for Outcome {
    fn from(passed: bool) -> Self {
        if passed { Self::Passed } else { Self::Failed }
    }
}

/// The steps so far.
#[derive(Default)]
pub struct Steps(Vec<(&'static str, Outcome, Duration)>);

impl Steps {
    /// Runs one.
    pub fn run(&mut self, name: &'static str, step: impl FnOnce() -> Outcome) {
        println!("== {name}");
        let start = Instant::now();
        let outcome = step();
        let took = start.elapsed();
        println!("== {}", line(name, &outcome, took));
        self.0.push((name, outcome, took));
    }

    /// Lists them and says whether none failed.
    pub fn finish(self) -> bool {
        println!();
        for (name, outcome, took) in &self.0 {
            println!("{}", line(name, outcome, *took));
        }
        !self
            .0
            .iter()
            .any(|(_, outcome, _)| matches!(outcome, Outcome::Failed))
    }
}

fn line(name: &str, outcome: &Outcome, took: Duration) -> String {
    let word = match outcome {
        Outcome::Passed => "ok".to_owned(),
        Outcome::Skipped(why) => format!("skipped: {why}"),
        Outcome::Failed => "FAILED".to_owned(),
    };
    format!("{name:<28} {:>7.1} s  {word}", took.as_secs_f64())
}

/// What the process should end with.
pub fn exit(passed: bool) -> ExitCode {
    if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
