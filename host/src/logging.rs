//! The log: to standard error, as text or JSON. What users write, their passwords and proofs never get there; events carry addresses,
//! connection numbers and reasons only.

use std::io;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};

use crate::settings::LogFormat;

/// Starts logging. Only soQet's own events: libraries tell of every system call.
pub fn start(level: LevelFilter, format: LogFormat) {
    let own = Targets::new().with_target("soqet", level);
    let layer = match format {
        LogFormat::Text => fmt::layer()
            .with_ansi(false)
            .with_target(false)
            .with_writer(io::stderr)
            .boxed(),
        LogFormat::Json => fmt::layer()
            .json()
            .flatten_event(true)
            .with_target(false)
            .with_writer(io::stderr)
            .boxed(),
    };
    // Fails only where logging has been started already, as in tests.
    let _ = tracing_subscriber::registry()
        .with(layer.with_filter(own))
        .try_init();
}
