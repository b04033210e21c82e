//! What can be typed after `soqet`.

use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue};
use clap::{Args, CommandFactory as _, Parser, Subcommand};

use crate::settings::{ListenAddress, LogFormat, LogLevel};

/// A small chat server with accounts and memory, for IRC clients.
///
/// Without a command it serves. Every option can also be set in the configuration file and in the environment; an option
/// typed here counts most, then the environment, then the file.
#[derive(Parser, Debug)]
#[command(name = "soqet", version, max_term_width = 100)]
pub struct Arguments {
    /// Options of every command.
    #[command(flatten)]
    pub common: Common,
    /// Options of `serve`, which needs not be typed. Only these look at the environment, so that an option typed on either side
    /// of `serve` counts more.
    #[command(flatten)]
    pub serve: ServeFromEnvironment,
    /// What to do; `serve` when missing.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Options of every command.
#[derive(Args, Debug, Default)]
pub struct Common {
    /// Folder where accounts and messages are kept [default: ./soqet-data]
    #[arg(
        long,
        value_name = "FOLDER",
        env = "SOQET_DATA",
        hide_env_values = true,
        global = true
    )]
    pub data: Option<PathBuf>,
    /// Configuration file [default: soqet.toml in the data folder, if there is one]
    #[arg(
        long,
        value_name = "FILE",
        env = "SOQET_CONFIG",
        hide_env_values = true,
        global = true
    )]
    pub config: Option<PathBuf>,
    /// How much to log to standard error: off, error, warn, info, debug or trace [default: info]
    #[arg(
        long,
        value_name = "LEVEL",
        env = "SOQET_LOG",
        hide_env_values = true,
        global = true
    )]
    pub log: Option<LogLevel>,
    /// How to write the log: text or json [default: text]
    #[arg(
        long,
        value_name = "FORMAT",
        env = "SOQET_LOG_FORMAT",
        hide_env_values = true,
        hide_possible_values = true,
        global = true
    )]
    pub log_format: Option<LogFormat>,
}

/// Options of `serve` before the command or without one.
#[derive(Args, Debug, Default)]
pub struct ServeFromEnvironment {
    /// Address and port for IRC clients; may be given several times [default: port 6667 of every address of this computer]
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        env = "SOQET_IRC",
        hide_env_values = true,
        value_delimiter = ','
    )]
    pub irc: Vec<ListenAddress>,
    /// How many clients may be connected at once [default: 10000]
    #[arg(long, value_name = "NUMBER", env = "SOQET_MAX_CONNECTIONS", hide_env_values = true,
          value_parser = clients)]
    pub max_connections: Option<u32>,
}

/// Options of `serve` behind the command.
#[derive(Args, Debug, Default)]
pub struct Serve {
    /// Address and port for IRC clients; may be given several times [default: port 6667 of every address of this computer]
    /// [env: SOQET_IRC]
    #[arg(long, value_name = "ADDRESS:PORT", value_delimiter = ',')]
    pub irc: Vec<ListenAddress>,
    /// How many clients may be connected at once [default: 10000] [env: SOQET_MAX_CONNECTIONS]
    #[arg(long, value_name = "NUMBER", value_parser = clients)]
    pub max_connections: Option<u32>,
}

fn clients(text: &str) -> Result<u32, String> {
    text.parse()
        .ok()
        .filter(|number| (1..=1_000_000).contains(number))
        .ok_or_else(|| "it must be a whole number from 1 to 1000000".to_owned())
}

/// What to do.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Run the server (this is what happens without a command)
    Serve(Serve),
    /// Manage accounts, whether the server runs or not
    #[command(subcommand)]
    Account(AccountCommand),
}

/// What to do with accounts.
#[derive(Subcommand, Debug)]
pub enum AccountCommand {
    /// Add an account; asks for its password
    Add {
        /// Name (nick) of the account
        name: String,
        /// A title shown beside the name, e.g. moderator; may be given several times
        #[arg(long = "title", value_name = "TITLE")]
        titles: Vec<String>,
        /// Make it an owner of the server
        #[arg(long)]
        owner: bool,
        /// Read the password from standard input (its first line) instead of asking
        #[arg(long)]
        password_stdin: bool,
    },
    /// List accounts
    List {
        /// Only names that start so
        prefix: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show an account and its rooms
    Show {
        /// Name of the account
        name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Change an account's password
    Passwd {
        /// Name of the account
        name: String,
        /// Read the password from standard input (its first line) instead of asking
        #[arg(long)]
        password_stdin: bool,
    },
    /// Set the titles of an account; none takes them away
    Title {
        /// Name of the account
        name: String,
        /// Titles, e.g. moderator "night watch"
        titles: Vec<String>,
    },
    /// Make an account an owner of the server
    Owner {
        /// Name of the account
        name: String,
    },
    /// Make an owner an ordinary account again
    Disown {
        /// Name of the account
        name: String,
    },
    /// Forbid an account to log in, and disconnect it
    Disable {
        /// Name of the account
        name: String,
    },
    /// Let a disabled account log in again
    Enable {
        /// Name of the account
        name: String,
    },
    /// Remove an account for good; its messages stay
    Remove {
        /// Name of the account
        name: String,
        /// Do not ask for confirmation
        #[arg(long)]
        yes: bool,
    },
}

/// Reads the command line and the environment; says what is wrong, or the help asked for, and ends the program.
pub fn parse() -> Arguments {
    Arguments::try_parse().unwrap_or_else(|error| {
        let said = error.print();
        if let Some(variable) = blamed_variable(&error)
            && said.is_ok()
        {
            eprintln!("\nThat value comes from the environment variable {variable}.");
        }
        std::process::exit(error.exit_code())
    })
}

/// The environment variable that an invalid value was read from: clap names the option that was never typed.
fn blamed_variable(error: &clap::Error) -> Option<String> {
    let value = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let option = value(ContextKind::InvalidArg)?;
    let long = option.split([' ', '=']).next()?.strip_prefix("--")?;
    let command = Arguments::command();
    let variable = command
        .get_arguments()
        .find(|argument| argument.get_long() == Some(long))?
        .get_env()?
        .to_str()?;
    let content = std::env::var(variable).ok()?;
    let typed = format!("--{long}");
    let is_typed = std::env::args().any(|word| word.split('=').next() == Some(&typed));
    (!is_typed && content.contains(value(ContextKind::InvalidValue)?)).then(|| variable.to_owned())
}

impl Arguments {
    /// The options of `serve` from both sides of the command; those behind it count more.
    pub fn serve_options(&self) -> ServeFromEnvironment {
        let empty = Serve::default();
        let behind = match &self.command {
            Some(Command::Serve(serve)) => serve,
            _ => &empty,
        };
        ServeFromEnvironment {
            irc: if behind.irc.is_empty() {
                self.serve.irc.clone()
            } else {
                behind.irc.clone()
            },
            max_connections: behind.max_connections.or(self.serve.max_connections),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Arguments {
        Arguments::try_parse_from(std::iter::once(&"soqet").chain(words)).unwrap()
    }

    #[test]
    fn the_definition_is_sound() {
        use clap::CommandFactory as _;
        Arguments::command().debug_assert();
    }

    #[test]
    fn serve_options_work_with_and_without_the_command() {
        for words in [
            &[
                "--irc",
                "127.0.0.1:1",
                "--irc",
                "127.0.0.1:2",
                "--max-connections",
                "7",
            ][..],
            &[
                "serve",
                "--irc",
                "127.0.0.1:1,127.0.0.1:2",
                "--max-connections",
                "7",
            ],
            &[
                "--max-connections",
                "9",
                "--irc",
                "127.0.0.1:3",
                "serve",
                "--irc",
                "127.0.0.1:1",
                "--irc",
                "127.0.0.1:2",
                "--max-connections",
                "7",
            ],
        ] {
            let options = parse(words).serve_options();
            let ports: Vec<_> = options.irc.iter().map(|address| address.0.port()).collect();
            assert_eq!(ports, [1, 2], "{words:?}");
            assert_eq!(options.max_connections, Some(7), "{words:?}");
        }
    }

    #[test]
    fn common_options_stand_on_either_side_of_a_command() {
        for words in [
            &["--data", "d", "account", "list", "a"][..],
            &["account", "--data", "d", "list", "a"],
            &["account", "list", "a", "--data", "d"],
        ] {
            let arguments = parse(words);
            assert_eq!(arguments.common.data.as_deref(), Some("d".as_ref()));
            assert!(matches!(
                arguments.command,
                Some(Command::Account(AccountCommand::List { prefix: Some(prefix), json: false })) if prefix == "a"
            ));
        }
    }

    #[test]
    fn nonsense_is_refused_in_words() {
        for (words, part) in [
            (&["--irc", "localhost"][..], "127.0.0.1:6667"),
            (&["--max-connections", "0"], "from 1 to 1000000"),
            (&["--log", "loud"], "debug"),
            (&["acount"], "account"),
            (&["account", "add"], "<NAME>"),
        ] {
            let error = Arguments::try_parse_from(std::iter::once(&"soqet").chain(words))
                .unwrap_err()
                .to_string();
            assert!(error.contains(part), "{words:?}: {error}");
        }
    }
}
