//! Room modes: their letters, and the changes of a `MODE #room +ov-b a b c` (modern.ircdocs.horse "MODE message").

use core::fmt;
use core::str::Chars;

/// Most changes with a parameter in one MODE (ISUPPORT `MODES`).
pub const CHANGES_MAX: usize = 4;

bitflags::bitflags! {
    /// A room's modes without parameter.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct RoomModes: u32 {
        /// `i`: only who is invited may join.
        const INVITE_ONLY = 1 << 0;
        /// `m`: only voiced members and operators may speak.
        const MODERATED = 1 << 1;
        /// `n`: only members may speak.
        const NO_EXTERNAL = 1 << 2;
        /// `s`: not shown to others in LIST, NAMES and WHOIS.
        const SECRET = 1 << 3;
        /// `t`: only operators may set the topic.
        const TOPIC_LOCKED = 1 << 4;
    }
}

/// In the order of the bits.
const FLAG_LETTERS: [char; 5] = ['i', 'm', 'n', 's', 't'];

impl RoomModes {
    /// The mode of that letter.
    pub fn from_letter(letter: char) -> Option<Self> {
        FLAG_LETTERS
            .iter()
            .position(|l| *l == letter)
            .map(|bit| Self::from_bits_truncate(1 << bit))
    }

    /// The letters of the modes that are set, e.g. `nt`.
    pub fn letters(self) -> impl Iterator<Item = char> {
        FLAG_LETTERS.into_iter().filter(move |letter| {
            Self::from_letter(*letter).is_some_and(|mode| self.contains(mode))
        })
    }
}

impl fmt::Display for RoomModes {
    /// Its letters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        self.letters().try_for_each(|letter| f.write_char(letter))
    }
}

/// A mode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// One without parameter (`i m n s t`); exactly one bit.
    Flag(RoomModes),
    /// `k`: the key; a parameter to set, an optional one to remove.
    Key,
    /// `l`: the member limit; a parameter to set, none to remove.
    Limit,
    /// `b`: a ban; without parameter a question for the list.
    Ban,
    /// `q`: a founder. The parameter is a nick.
    Founder,
    /// `o`: an operator. The parameter is a nick.
    Operator,
    /// `v`: a member with voice. The parameter is a nick.
    Voice,
}

impl Mode {
    /// The mode of that letter.
    pub fn from_letter(letter: char) -> Option<Self> {
        Some(match letter {
            'k' => Self::Key,
            'l' => Self::Limit,
            'b' => Self::Ban,
            'q' => Self::Founder,
            'o' => Self::Operator,
            'v' => Self::Voice,
            _ => Self::Flag(RoomModes::from_letter(letter)?),
        })
    }

    /// Its letter.
    pub fn letter(self) -> char {
        match self {
            Self::Flag(flag) => flag.letters().next().unwrap_or('?'),
            Self::Key => 'k',
            Self::Limit => 'l',
            Self::Ban => 'b',
            Self::Founder => 'q',
            Self::Operator => 'o',
            Self::Voice => 'v',
        }
    }

    fn parameter(self, add: bool) -> Parameter {
        match self {
            Self::Flag(_) => Parameter::None,
            Self::Limit if !add => Parameter::None,
            Self::Key if !add => Parameter::Optional,
            Self::Ban => Parameter::Optional,
            _ => Parameter::Required,
        }
    }
}

enum Parameter {
    None,
    Optional,
    Required,
}

/// One change asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Change<'a> {
    /// `+`, which is also the default, or `-`.
    pub add: bool,
    /// What.
    pub mode: Mode,
    /// Its parameter; never empty. There where the mode requires one.
    pub param: Option<&'a str>,
}

/// Why a letter is no change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ModeError {
    /// No mode has this letter: answer 472.
    Unknown(char),
    /// Its parameter is missing: answer 696.
    MissingParameter(Mode),
    /// There are more than [`CHANGES_MAX`] changes with parameters; the changes end here.
    TooMany,
}

/// Goes over the changes of a MODE: its second parameter (`+ov-b`) and those after it.
pub fn changes<'a>(letters: &'a str, params: &'a [&'a str]) -> Changes<'a> {
    Changes {
        letters: letters.chars(),
        params,
        add: true,
        taken: 0,
    }
}

/// See [`changes`].
#[derive(Clone, Debug)]
pub struct Changes<'a> {
    letters: Chars<'a>,
    params: &'a [&'a str],
    add: bool,
    taken: usize,
}

impl<'a> Changes<'a> {
    fn change(&mut self, letter: char) -> Result<Change<'a>, ModeError> {
        let mode = Mode::from_letter(letter).ok_or(ModeError::Unknown(letter))?;
        let wanted = mode.parameter(self.add);
        let mut param = None;
        if !matches!(wanted, Parameter::None)
            && let [first, rest @ ..] = self.params
        {
            if self.taken == CHANGES_MAX {
                self.letters = "".chars();
                return Err(ModeError::TooMany);
            }
            self.taken += 1;
            self.params = rest;
            param = Some(*first).filter(|param| !param.is_empty());
        }
        if matches!(wanted, Parameter::Required) && param.is_none() {
            return Err(ModeError::MissingParameter(mode));
        }
        Ok(Change {
            add: self.add,
            mode,
            param,
        })
    }
}

impl<'a> Iterator for Changes<'a> {
    type Item = Result<Change<'a>, ModeError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.letters.next()? {
                '+' => self.add = true,
                '-' => self.add = false,
                letter => return Some(self.change(letter)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As text: `+o(bob)`, `-n`, `?x` for unknown, `!o` for a missing parameter, `...` for too many.
    fn shown(letters: &str, params: &[&str]) -> String {
        let one = |change| match change {
            Ok(Change { add, mode, param }) => {
                let sign = if add { '+' } else { '-' };
                let param = param.map(|p| format!("({p})")).unwrap_or_default();
                format!("{sign}{}{param}", mode.letter())
            }
            Err(ModeError::Unknown(c)) => format!("?{c}"),
            Err(ModeError::MissingParameter(mode)) => format!("!{}", mode.letter()),
            Err(ModeError::TooMany) => "...".into(),
        };
        changes(letters, params)
            .map(one)
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn parses_changes() {
        for (letters, params, expected) in [
            ("+ov-b", &["a", "b", "c"][..], "+o(a) +v(b) -b(c)"),
            ("nt", &[], "+n +t"),
            ("+i-m+s", &["unused"], "+i -m +s"),
            ("b", &[], "+b"),
            ("+b-b", &[], "+b -b"),
            ("+kl", &["key", "10"], "+k(key) +l(10)"),
            ("-kl", &["key", "10"], "-k(key) -l"),
            ("-k", &[], "-k"),
            ("+l", &[], "!l"),
            ("+k", &[""], "!k"),
            ("-o+q", &["a"], "-o(a) !q"),
            ("+xo中", &["a"], "?x +o(a) ?中"),
            ("+-", &[], ""),
            ("", &["a"], ""),
            (
                "+ooobnvi",
                &["a", "b", "c", "d", "e"],
                "+o(a) +o(b) +o(c) +b(d) +n ...",
            ),
        ] {
            assert_eq!(shown(letters, params), expected, "{letters} {params:?}");
        }
    }

    #[test]
    fn letters() {
        for letter in "imnstklbqov".chars() {
            assert_eq!(Mode::from_letter(letter).unwrap().letter(), letter);
        }
        let modes = RoomModes::TOPIC_LOCKED | RoomModes::NO_EXTERNAL;
        assert_eq!(modes.to_string(), "nt");
        assert_eq!(RoomModes::all().to_string(), "imnst");
        assert_eq!(RoomModes::from_letter('x'), None);
    }

    proptest::proptest! {
        #[test]
        fn ends_and_never_panics(letters in "[-+a-z中]{0,40}", params in proptest::collection::vec("[a-z]{0,3}", 0..14)) {
            let params: Vec<&str> = params.iter().map(String::as_str).collect();
            let all: Vec<_> = changes(&letters, &params).collect();
            proptest::prop_assert!(all.len() <= letters.chars().count());
            let with_param = all.iter().filter(|c| matches!(c, Ok(Change { param: Some(_), .. }))).count();
            proptest::prop_assert!(with_param <= CHANGES_MAX);
        }
    }
}
