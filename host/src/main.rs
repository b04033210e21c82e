//! The `soqet` command.

use std::process::ExitCode;

use soqet::cli::{self, Arguments, Command};
use soqet::failure::Failure;
use soqet::settings::Settings;
use soqet::{account, logging, serve};

fn main() -> ExitCode {
    match run(&cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("soqet: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let settings = Settings::resolve(&arguments.common, &arguments.serve_options())?;
    match &arguments.command {
        None | Some(Command::Serve(_)) => {
            logging::start(settings.log, settings.log_format);
            serve::run(&settings)
        }
        Some(Command::Account(command)) => {
            // What goes wrong is the command's own output; the log of a server in this process is for those who ask for it.
            if arguments.common.log.is_some() {
                logging::start(settings.log, settings.log_format);
            }
            account::run(command, &settings)
        }
    }
}
