//! Passwords for `soqet account`: asked for without echo, checked, and turned into a verifier here, so that the server never gets them.

use std::io::{BufRead as _, IsTerminal as _};

use soqet_core::auth::{SaltedPassword, check_password};
use unicode_normalization::UnicodeNormalization as _;

use crate::failure::Failure;

/// Longest line read as a password, bytes; longer ones are refused in any case.
const LINE: u64 = 4096;

/// Gets a new password and gives its verifier in the text form of RFC 5803.
pub fn new_verifier(name: &str, from_stdin: bool, iterations: u32) -> Result<String, Failure> {
    let password = if from_stdin {
        first_line(&mut std::io::stdin().lock())?
    } else {
        ask(name)?
    };
    let mut salt = [0; 16];
    getrandom::fill(&mut salt)
        .map_err(|error| Failure::new(format!("the system gives no random numbers: {error}")))?;
    derive(&password, &salt, iterations)
}

fn derive(password: &str, salt: &[u8; 16], iterations: u32) -> Result<String, Failure> {
    let password: String = password.nfkc().collect();
    check_password(&password).map_err(|error| Failure::new(format!("{error}.")))?;
    Ok(
        SaltedPassword::derive(password.as_bytes(), salt, iterations)
            .verifier()
            .to_text()
            .to_string(),
    )
}

fn ask(name: &str) -> Result<String, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::new(
            "there is no terminal to ask for the password on\nUse --password-stdin and write the password to standard input.",
        ));
    }
    let prompt = |text: String| {
        rpassword::prompt_password(text)
            .map_err(|error| Failure::new(format!("the password could not be read: {error}")))
    };
    let password = prompt(format!("New password for {name}: "))?;
    if password != prompt("The same again: ".to_owned())? {
        return Err(Failure::new(
            "the two passwords differ; nothing was changed.",
        ));
    }
    Ok(password)
}

fn first_line(input: &mut impl std::io::BufRead) -> Result<String, Failure> {
    let mut line = String::new();
    std::io::Read::take(input, LINE)
        .read_line(&mut line)
        .map_err(|error| {
            Failure::new(format!(
                "the password could not be read from standard input: {error}"
            ))
        })?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use soqet_core::store::Verifier;

    #[test]
    fn forms_of_one_password_give_one_verifier() {
        let composed = derive("caf\u{e9} und \u{ff11}", &[1; 16], 4096).unwrap();
        let decomposed = derive("cafe\u{301} und 1", &[1; 16], 4096).unwrap();
        assert_eq!(composed, decomposed);
        assert_eq!(Verifier::parse(&composed).unwrap().iterations, 4096);
        assert_ne!(composed, derive("cafe und 1", &[1; 16], 4096).unwrap());
    }

    #[test]
    fn weak_passwords_are_refused() {
        assert!(derive("", &[1; 16], 4096).is_err());
        assert!(derive("short", &[1; 16], 4096).is_err());
    }

    #[test]
    fn a_line_ends_at_its_end() {
        for (input, line) in [
            ("secret word\nmore", "secret word"),
            ("a\r\n", "a"),
            (" b ", " b "),
            ("", ""),
        ] {
            assert_eq!(first_line(&mut input.as_bytes()).unwrap(), line);
        }
    }
}
