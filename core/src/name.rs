//! Names people choose: which are allowed, how long they may be, and when two are the same.
//!
//! Nicks (account names) are ASCII and identify people; room and display names may be in any script, but not with characters
//! that cannot be seen: those forge look-alikes. Case is folded in ASCII only (`CASEMAPPING=ascii`).

use core::fmt;

use crate::text::Text;

/// A limit, and that of a server with the feature `small`, which keeps these texts for everybody online.
const fn limit(usual: usize, small: usize) -> usize {
    if cfg!(feature = "small") {
        small
    } else {
        usual
    }
}

/// Longest nick (account name), bytes.
pub const NICK_MAX: usize = 23;
/// [`check_nick`]'s rule, in words for who chose one that is refused.
pub const NICK_RULE: &str = "a nick is 1 to 23 of A-Z a-z 0-9 - _ [ ] { } \\ | ^ ` and does not begin with a digit or -; \
     a name in any script can stand beside it: SETNAME, after the login";
/// Longest room name with its `#`, bytes.
pub const ROOM_MAX: usize = limit(47, 31);
/// Longest display name, bytes.
pub const DISPLAY_MAX: usize = limit(64, 36);
/// All titles of an account together with the commas between them, bytes.
pub const TITLES_MAX: usize = limit(64, 31);
/// Longest topic, bytes.
pub const TOPIC_MAX: usize = 300;
/// Longest room key, bytes.
pub const KEY_MAX: usize = 23;
/// Longest away text, bytes.
pub const AWAY_MAX: usize = limit(120, 39);
/// Longest ban mask, bytes.
pub const MASK_MAX: usize = 63;
/// Longest reason of KICK, PART or QUIT, bytes.
pub const REASON_MAX: usize = 200;

/// A nick, which is an account's name.
pub type Nick = Text<NICK_MAX>;
/// A room's name with its `#`.
pub type RoomName = Text<ROOM_MAX>;

/// Why a name is refused. Displayed as a sentence for its chooser.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NameError {
    /// Nothing there.
    Empty,
    /// Longer than so many bytes.
    TooLong(usize),
    /// A nick starts with this digit or hyphen.
    Start(char),
    /// A room's name does not start with `#`.
    NoHash,
    /// A display name or title starts or ends with a space.
    OuterSpace,
    /// This character must not be in it.
    Character(char),
    /// Kept for the server itself, or would be taken for it.
    Reserved,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Empty => f.write_str("It must not be empty"),
            Self::TooLong(max) => write!(f, "It is too long, at most {max} bytes are allowed"),
            Self::Start(c) => write!(f, "It must not start with {c}"),
            Self::NoHash => f.write_str("The name of a room starts with # and has more after it"),
            Self::OuterSpace => f.write_str("It must not start or end with a space"),
            Self::Character(' ') => f.write_str("It must not contain a space"),
            Self::Character(c) if is_control(c) || is_invisible(c) || is_joiner(c) => {
                write!(
                    f,
                    "It must not contain the invisible character U+{:04X}",
                    u32::from(c)
                )
            }
            Self::Character(c) => write!(f, "It must not contain {c}"),
            Self::Reserved => f.write_str("This name is kept for the server itself"),
        }
    }
}

/// Whether somebody may have this nick: ASCII letters, digits and `` -[]\`_^{|} `` (RFC 2812 section 2.3.1), no digit or hyphen
/// first, and nothing that would be taken for the server or its services.
pub fn check_nick(nick: &str) -> Result<(), NameError> {
    check_length(nick, NICK_MAX)?;
    let allowed = |c| matches!(c, 'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '[' | ']' | '\\' | '`' | '_' | '^' | '{' | '|' | '}');
    if let Some(c) = nick.chars().find(|c| !allowed(*c)) {
        return Err(NameError::Character(c));
    }
    match nick.chars().next() {
        Some(first) if first.is_ascii_digit() || first == '-' => Err(NameError::Start(first)),
        _ if is_reserved(nick) => Err(NameError::Reserved),
        _ => Ok(()),
    }
}

/// People trust anybody called NickServ with a password, hence all `...serv`.
fn is_reserved(nick: &str) -> bool {
    let tail = nick.len().saturating_sub(4);
    nick.get(tail..).is_some_and(|tail| eq_folded(tail, "serv"))
        || ["server", "services", "soqet", "global", "anonymous"]
            .iter()
            .any(|name| eq_folded(nick, name))
}

/// Whether a room may have this name: `#`, then at least one more character; no space, comma (it separates names), control or
/// invisible character.
pub fn check_room(name: &str) -> Result<(), NameError> {
    check_length(name, ROOM_MAX)?;
    if !name.starts_with('#') || name.len() == 1 {
        return Err(NameError::NoHash);
    }
    match name
        .chars()
        .find(|&c| c == ' ' || c == ',' || is_control(c) || is_invisible(c) || is_joiner(c))
    {
        Some(c) => Err(NameError::Character(c)),
        None => Ok(()),
    }
}

/// Whether somebody may be displayed under this name: any script, spaces inside; joiners too, which Persian, Indic scripts
/// and emoji need, because a display name always stands beside the nick that identifies.
pub fn check_display(name: &str) -> Result<(), NameError> {
    check_length(name, DISPLAY_MAX)?;
    check_shown(name)?;
    if name.chars().all(is_joiner) {
        return Err(NameError::Empty);
    }
    Ok(())
}

/// Whether these may be an account's titles: empty, or some separated by commas, each as a display name.
pub fn check_titles(titles: &str) -> Result<(), NameError> {
    if titles.is_empty() {
        return Ok(());
    }
    check_length(titles, TITLES_MAX)?;
    titles.split(',').try_for_each(check_display)
}

/// Whether a room may have this key. It is shown as a middle parameter, so it has no space and no colon in front.
pub fn check_key(key: &str) -> Result<(), NameError> {
    check_length(key, KEY_MAX)?;
    if key.starts_with(':') {
        return Err(NameError::Start(':'));
    }
    match key
        .chars()
        .find(|&c| c == ' ' || c == ',' || is_control(c) || is_invisible(c))
    {
        Some(c) => Err(NameError::Character(c)),
        None => Ok(()),
    }
}

fn check_length(name: &str, max: usize) -> Result<(), NameError> {
    match name.len() {
        0 => Err(NameError::Empty),
        len if len > max => Err(NameError::TooLong(max)),
        _ => Ok(()),
    }
}

fn check_shown(name: &str) -> Result<(), NameError> {
    if let Some(c) = name.chars().find(|&c| is_control(c) || is_invisible(c)) {
        return Err(NameError::Character(c));
    }
    if name.starts_with(' ') || name.ends_with(' ') {
        return Err(NameError::OuterSpace);
    }
    Ok(())
}

fn is_control(c: char) -> bool {
    matches!(c, '\0'..='\x1f' | '\x7f'..='\u{9f}')
}

/// ZERO WIDTH NON-JOINER and JOINER.
fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}')
}

/// Spaces other than U+0020, and characters that show nothing or turn the direction of writing (Unicode general categories Zs,
/// Zl, Zp, Cf and the blank letters), except joiners.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{a0}' | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{1680}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{2000}'..='\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202f}'
        | '\u{205f}'..='\u{206f}' | '\u{2800}' | '\u{3000}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// The name as it is compared and stored under: ASCII letters in lower case. `None` when it is longer than `N` bytes; cutting
/// it would make it somebody else's name.
pub fn fold<const N: usize>(name: &str) -> Option<Text<N>> {
    let mut folded = Text::new(name)?;
    folded.make_ascii_lowercase();
    Some(folded)
}

/// Whether two names are the same.
pub fn eq_folded(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nicks() {
        for nick in [
            "a",
            "Bob",
            "bob-2",
            "[x]\\`_^{|}",
            "_",
            "conserve",
            &"n".repeat(NICK_MAX),
        ] {
            assert_eq!(check_nick(nick), Ok(()), "{nick}");
        }
        let long = "n".repeat(NICK_MAX + 1);
        for (nick, error) in [
            ("", NameError::Empty),
            (&*long, NameError::TooLong(NICK_MAX)),
            ("1a", NameError::Start('1')),
            ("-a", NameError::Start('-')),
            ("*", NameError::Character('*')),
            ("a b", NameError::Character(' ')),
            ("a!b", NameError::Character('!')),
            ("a.b", NameError::Character('.')),
            ("#a", NameError::Character('#')),
            ("~a", NameError::Character('~')),
            (":a", NameError::Character(':')),
            ("王", NameError::Character('王')),
            ("a\r", NameError::Character('\r')),
            ("NickServ", NameError::Reserved),
            ("MyServ", NameError::Reserved),
            ("soQet", NameError::Reserved),
        ] {
            assert_eq!(check_nick(nick), Err(error), "{nick:?}");
        }
    }

    #[test]
    fn the_rule_in_words_is_the_rule() {
        assert!(NICK_RULE.contains(&format!("1 to {NICK_MAX} of")));
        let (_, rest) = NICK_RULE.split_once("0-9 ").unwrap();
        let (listed, _) = rest.split_once(" and ").unwrap();
        let listed: Vec<char> = listed.split(' ').flat_map(str::chars).collect();
        for c in (' '..='~').filter(|c| !c.is_ascii_alphanumeric()) {
            let allowed = check_nick(&format!("a{c}")).is_ok();
            assert_eq!(allowed, listed.contains(&c), "{c:?}");
        }
    }

    #[test]
    fn rooms() {
        for room in ["#a", "##", "#中文", "#a:b", "#0", "#❤️"] {
            assert_eq!(check_room(room), Ok(()), "{room}");
        }
        for room in [
            "",
            "#",
            "a",
            "&a",
            "#a b",
            "#a,b",
            "#a\x07",
            "#\0",
            "#a\x7f",
            "#a\u{85}",
            "#a\u{200b}",
            "#a\u{200d}",
            "#a\u{202e}",
            "#a\u{2066}",
            "#a\u{feff}",
            "#\u{a0}",
            "#\u{3000}",
            "#\u{e0041}",
        ] {
            assert!(check_room(room).is_err(), "{room:?}");
        }
        assert_eq!(
            check_room(&format!("#{}", "x".repeat(ROOM_MAX - 1))),
            Ok(())
        );
        assert_eq!(
            check_room(&format!("#{}", "x".repeat(ROOM_MAX))),
            Err(NameError::TooLong(ROOM_MAX))
        );
    }

    #[test]
    fn displays_titles_and_keys() {
        for name in ["王 小明", "O'Neill, Jr.", "می\u{200c}خواهم", "👩\u{200d}🚀"] {
            assert_eq!(check_display(name), Ok(()), "{name}");
        }
        for name in ["", " a", "a ", "a\nb", "a\u{202e}b", "\u{200d}", "\u{3164}"] {
            assert!(check_display(name).is_err(), "{name:?}");
        }
        assert_eq!(check_titles(""), Ok(()));
        assert_eq!(check_titles("moderator,first mate"), Ok(()));
        assert_eq!(check_titles("a,,b"), Err(NameError::Empty));
        assert_eq!(check_titles("a, b"), Err(NameError::OuterSpace));
        assert_eq!(check_key("s:e*cret"), Ok(()));
        for key in ["", ":a", "a b", "a,b", "a\t"] {
            assert!(check_key(key).is_err(), "{key:?}");
        }
    }

    #[test]
    fn errors_show_no_invisible_character() {
        for c in ['\u{202e}', '\0', '\u{200d}'] {
            let shown = NameError::Character(c).to_string();
            assert!(!shown.contains(c) && shown.contains("U+"), "{shown:?}");
        }
        assert_eq!(
            NameError::TooLong(23).to_string(),
            "It is too long, at most 23 bytes are allowed"
        );
    }

    #[test]
    fn folding() {
        assert_eq!(fold::<5>("AbÄ[").unwrap(), "abÄ[");
        assert_eq!(fold::<3>("ABCD"), None);
        assert!(eq_folded("Bob", "bOB") && !eq_folded("[", "{") && !eq_folded("a", "ab"));
    }

    proptest::proptest! {
        #[test]
        fn accepted_names_survive_as_one_parameter(name in "\\PC{0,20}|#\\PC{0,20}|[a-zA-Z0-9\\[\\]-]{0,24}") {
            for ok in [check_nick(&name).is_ok(), check_room(&name).is_ok(), check_key(&name).is_ok()] {
                if ok {
                    let line = format!("X {name} y");
                    let parsed = crate::irc::message::Message::parse(line.as_bytes()).unwrap();
                    proptest::prop_assert_eq!(parsed.params(), &[name.as_str(), "y"][..]);
                }
            }
            let _ = (check_display(&name), check_titles(&name));
        }
    }
}
