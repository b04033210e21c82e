//! All scenarios against the real binary.

use libtest_mimic::{Arguments, Trial};
use soqet_tests::HostWorld;

fn main() {
    let arguments = Arguments::from_args();
    let trials = soqet_tests::scenarios::all()
        .map(|scenario| {
            Trial::test(scenario.name, move || {
                (scenario.run)(&mut HostWorld::new());
                Ok(())
            })
        })
        .collect();
    libtest_mimic::run(&arguments, trials).exit();
}
