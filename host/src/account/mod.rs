//! `soqet account`: the operator manages accounts, whether the server runs or not.
//!
//! There is one way only: `ACCOUNT` lines to a server. One that runs is reached by its Unix socket; if none does, one without
//! listeners is started in this process for the length of the command.

mod exchange;
mod password;
mod show;

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::JoinHandle;

use soqet_core::name::{NICK_RULE, check_nick};

use crate::cli::AccountCommand;
use crate::control;
use crate::driver::Wakes;
use crate::failure::Failure;
use crate::serve;
use crate::settings::Settings;
use exchange::{Entry, Exchange};

/// Does what the command says and prints what comes of it.
pub fn run(command: &AccountCommand, settings: &Settings) -> Result<(), Failure> {
    if let Some(name) = name(command) {
        check_word(name)?;
    }
    if let AccountCommand::Remove { name, yes: false } = command {
        confirm(name)?;
    }
    let iterations = settings.file.config().iterations;
    // What is to be added is checked first: a refusal leaves no new folder behind.
    let added = match command {
        AccountCommand::Add {
            name,
            titles,
            password_stdin,
            ..
        } => {
            check_nick(name).map_err(|error| Failure::new(format!("{error}: {NICK_RULE}.")))?;
            join_titles(titles)?;
            Some(password::new_verifier(name, *password_stdin, iterations)?)
        }
        _ => None,
    };
    let (stream, local) = reach(command, settings)?;
    let done = Exchange::new(stream)
        .and_then(|mut exchange| perform(command, added, iterations, &mut exchange));
    if let Some(local) = local {
        local.stop()?;
    }
    print(&done?);
    Ok(())
}

/// A server in this process.
struct Local {
    wakes: Arc<Wakes>,
    thread: JoinHandle<Result<(), Failure>>,
}

impl Local {
    fn stop(self) -> Result<(), Failure> {
        self.wakes.stop();
        self.thread
            .join()
            .unwrap_or_else(|_| Err(Failure::new("the server in this process has failed")))
    }
}

fn reach(
    command: &AccountCommand,
    settings: &Settings,
) -> Result<(UnixStream, Option<Local>), Failure> {
    if let Some(stream) = control::connect(&settings.data)? {
        return Ok((stream, None));
    }
    if matches!(command, AccountCommand::Add { .. }) {
        control::make_folder(&settings.data)?;
    } else if !settings.data.is_dir() {
        return Err(Failure::new(format!(
            "there is no data folder {}\nName the server's folder with --data, or add a first account with `soqet account add`.",
            settings.data.display()
        )));
    }
    let wakes = Arc::new(Wakes::default());
    let store = serve::open_store(&settings.data, &wakes)?;
    let (ours, theirs) = UnixStream::pair()
        .and_then(|(ours, theirs)| theirs.set_nonblocking(true).map(|()| (ours, theirs)))
        .map_err(|error| Failure::new(format!("no connection could be made: {error}")))?;
    let thread = std::thread::Builder::new()
        .name("soqet-local".to_owned())
        .spawn({
            let (file, wakes) = (settings.file.clone(), Arc::clone(&wakes));
            move || serve::run_local(&file, store, wakes, theirs)
        })
        .map_err(|error| Failure::new(format!("no thread could be started: {error}")))?;
    Ok((ours, Some(Local { wakes, thread })))
}

fn perform(
    command: &AccountCommand,
    added: Option<String>,
    iterations: u32,
    exchange: &mut Exchange,
) -> Result<String, Failure> {
    let mut change = |line: String| {
        exchange
            .request(&line)
            .map(|answer| format!("{}.\n", answer.said))
    };
    match command {
        AccountCommand::Add {
            name,
            titles,
            owner,
            ..
        } => {
            let titles = join_titles(titles)?;
            let verifier = added.unwrap_or_default();
            let mut text = change(format!("ACCOUNT ADD {name} :{verifier}"))?;
            if !titles.is_empty() {
                text += &change(format!("ACCOUNT TITLE {name} :{titles}"))?;
            }
            if *owner {
                text += &change(format!("ACCOUNT OWNER {name}"))?;
            }
            Ok(text)
        }
        AccountCommand::Passwd {
            name,
            password_stdin,
        } => {
            let verifier = password::new_verifier(name, *password_stdin, iterations)?;
            change(format!("ACCOUNT PASSWD {name} :{verifier}"))
        }
        AccountCommand::Title { name, titles } => {
            let titles = join_titles(titles)?;
            change(format!("ACCOUNT TITLE {name} :{titles}"))
        }
        AccountCommand::Owner { name } => change(format!("ACCOUNT OWNER {name}")),
        AccountCommand::Disown { name } => change(format!("ACCOUNT DISOWN {name}")),
        AccountCommand::Disable { name } => change(format!("ACCOUNT DISABLE {name}")),
        AccountCommand::Enable { name } => change(format!("ACCOUNT ENABLE {name}")),
        AccountCommand::Remove { name, .. } => change(format!("ACCOUNT REMOVE {name}")),
        AccountCommand::List { prefix, json } => {
            let line = match prefix {
                Some(prefix) => format!("ACCOUNT LIST {prefix}"),
                None => "ACCOUNT LIST".to_owned(),
            };
            let entries = exchange.request(&line)?.entries;
            if *json {
                return to_json(&entries);
            }
            Ok(match prefix {
                _ if !entries.is_empty() => show::table(&entries),
                Some(prefix) => format!("No account's name begins with {prefix}.\n"),
                None => "There are no accounts yet. Add one: soqet account add NAME\n".to_owned(),
            })
        }
        AccountCommand::Show { name, json } => {
            let answer = exchange.request(&format!("ACCOUNT SHOW {name}"))?;
            let entry = answer.entries.into_iter().next().map(|entry| Entry {
                rooms: Some(answer.rooms),
                ..entry
            });
            match entry {
                Some(entry) if *json => to_json(&entry),
                Some(entry) => Ok(show::lines(&entry)),
                None => Err(Failure::new(format!("there is no account {name}"))),
            }
        }
    }
}

fn to_json(value: &impl serde::Serialize) -> Result<String, Failure> {
    serde_json::to_string_pretty(value)
        .map(|text| text + "\n")
        .map_err(|error| Failure::new(format!("JSON could not be written: {error}")))
}

/// The name in a command, which becomes a middle parameter of a line.
fn name(command: &AccountCommand) -> Option<&str> {
    match command {
        AccountCommand::List { prefix, .. } => prefix.as_deref(),
        AccountCommand::Add { name, .. }
        | AccountCommand::Show { name, .. }
        | AccountCommand::Passwd { name, .. }
        | AccountCommand::Title { name, .. }
        | AccountCommand::Owner { name }
        | AccountCommand::Disown { name }
        | AccountCommand::Disable { name }
        | AccountCommand::Enable { name }
        | AccountCommand::Remove { name, .. } => Some(name),
    }
}

/// What the server thinks of a name is its affair; here it only must not break the line.
fn check_word(word: &str) -> Result<(), Failure> {
    let breaks = |c: char| c.is_whitespace() || c.is_control();
    if word.is_empty() || word.starts_with(':') || word.contains(breaks) {
        return Err(Failure::new(format!(
            "`{}` cannot be the name of an account: names have no spaces",
            word.escape_debug()
        )));
    }
    Ok(())
}

fn join_titles(titles: &[String]) -> Result<String, Failure> {
    let bad = |title: &&String| {
        title.trim().is_empty() || title.contains(|c: char| c == ',' || c.is_control())
    };
    if let Some(title) = titles.iter().find(bad) {
        return Err(Failure::new(format!(
            "`{}` cannot be a title: titles are not empty and have no commas",
            title.escape_debug()
        )));
    }
    Ok(titles.join(","))
}

fn confirm(name: &str) -> Result<(), Failure> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(Failure::new(
            "removing an account needs a yes\nAdd --yes to remove it without being asked.",
        ));
    }
    print(&format!(
        "Remove the account {name} for good, with its password, rooms and markers? Type yes: "
    ));
    let mut answer = String::new();
    let read = stdin.lock().read_line(&mut answer);
    if read.is_ok() && answer.trim().eq_ignore_ascii_case("yes") {
        Ok(())
    } else {
        Err(Failure::new("nothing was removed."))
    }
}

/// Prints without failing when nobody reads any more, as in `soqet account list | head -1`.
fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_break_the_line() {
        for good in ["ann", "Ann-2", "[x]"] {
            assert!(check_word(good).is_ok(), "{good}");
        }
        for bad in ["", ":a", "a b", "a\r\nQUIT", "a\0"] {
            assert!(check_word(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn titles_are_joined_by_commas() {
        let join = |titles: &[&str]| {
            join_titles(&titles.iter().map(|&t| t.to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(join(&[]).unwrap(), "");
        assert_eq!(
            join(&["moderator", "night watch"]).unwrap(),
            "moderator,night watch"
        );
        for bad in ["", " ", "a,b", "a\r\nQUIT"] {
            assert!(join(&[bad]).is_err(), "{bad:?}");
        }
    }
}
