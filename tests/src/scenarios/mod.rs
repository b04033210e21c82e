//! The scenarios. Each gets a world without a server, starts one as it needs it, and fails by panicking.

use soqet_core::config::{Config, Rate};

use crate::world::World;

mod bad_input;
mod full_speed;
mod guessing;
mod history;
mod login;
mod not_logged_in;
mod presence;
mod private;
mod queries;
mod recovery;
mod registration;
mod replies;
mod rooms;
mod settings;
mod slow_reader;

/// A scenario.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// Theme and name, as in `rooms::kick`.
    pub name: &'static str,
    /// Runs it.
    pub run: fn(&mut dyn World),
}

/// Lists a module's scenarios. They are private functions, so that one left out of the list is a warning.
macro_rules! scenarios {
    ($($name:ident),* $(,)?) => {
        pub(super) const ALL: &[$crate::scenarios::Scenario] = &[$(
            $crate::scenarios::Scenario {
                name: concat!(module_path!(), "::", stringify!($name)),
                run: $name,
            },
        )*];
    };
}
use scenarios;

/// All scenarios.
pub fn all() -> impl Iterator<Item = Scenario> {
    [
        bad_input::ALL,
        full_speed::ALL,
        guessing::ALL,
        history::ALL,
        login::ALL,
        not_logged_in::ALL,
        presence::ALL,
        private::ALL,
        queries::ALL,
        recovery::ALL,
        registration::ALL,
        replies::ALL,
        rooms::ALL,
        settings::ALL,
        slow_reader::ALL,
    ]
    .into_iter()
    .flatten()
    .map(|scenario| Scenario {
        name: scenario.name.trim_start_matches("soqet_tests::scenarios::"),
        ..*scenario
    })
}

/// No limit.
const UNLIMITED: Rate = Rate {
    burst: 0,
    every_ms: 1,
};

/// The default configuration, except that people may type as fast as a test does and that few rounds are derived.
const CONFIG: Config<'static> = Config {
    flood: UNLIMITED,
    iterations: 4096,
    ..Config::DEFAULT
};
