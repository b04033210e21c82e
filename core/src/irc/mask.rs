//! Masks with `*` and `?`: bans (`nick!user@host`), searches in WHO and LIST.

use core::fmt;

/// Whether a mask matches all of a text, ASCII case aside. `*` stands for anything, `?` for one character. Takes at most
/// mask times text steps, whatever the mask: only the last `*` is ever tried again.
pub fn matches(mask: &str, text: &str) -> bool {
    let (mask, text) = (mask.as_bytes(), text.as_bytes());
    let (mut m, mut t) = (0, 0);
    // Behind the last `*`, and the place in the text up to which it stands for everything.
    let mut star: Option<(usize, usize)> = None;
    while let Some(&here) = text.get(t) {
        match mask.get(m) {
            Some(b'*') => {
                m += 1;
                star = Some((m, t));
            }
            Some(b'?') => {
                m += 1;
                t += 1;
                // The rest of a character of several bytes.
                while text.get(t).is_some_and(|b| b & 0xC0 == 0x80) {
                    t += 1;
                }
            }
            Some(b) if b.eq_ignore_ascii_case(&here) => {
                m += 1;
                t += 1;
            }
            _ => {
                let Some((after, covered)) = star else {
                    return false;
                };
                m = after;
                t = covered + 1;
                star = Some((m, t));
            }
        }
    }
    mask.get(m..).unwrap_or_default().iter().all(|&b| b == b'*')
}

/// Writes a mask in full as `nick!user@host`; what is missing becomes `*`, and several `*` in a row become one.
pub fn normalise(mask: &str, out: &mut impl fmt::Write) -> fmt::Result {
    let (nick, rest) = match mask.split_once('!') {
        Some((nick, rest)) if !nick.contains('@') => (nick, rest),
        _ if mask.contains('@') => ("", mask),
        _ => (mask, ""),
    };
    let (user, host) = rest.split_once('@').unwrap_or((rest, ""));
    write_part(nick, out)?;
    out.write_char('!')?;
    write_part(user, out)?;
    out.write_char('@')?;
    write_part(host, out)
}

fn write_part(part: &str, out: &mut impl fmt::Write) -> fmt::Result {
    if part.is_empty() {
        return out.write_char('*');
    }
    let mut last = '\0';
    for c in part.chars() {
        if (last, c) != ('*', '*') {
            out.write_char(c)?;
        }
        last = c;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matching() {
        for (mask, text) in [
            ("", ""),
            ("*", ""),
            ("*", "abc"),
            ("a?c", "abc"),
            ("*!*@Host", "bob!bob@hOST"),
            ("b*b!*@*", "bob!bob@host"),
            ("*a*b*", "xxaxxbxx"),
            ("#?文", "#中文"),
            ("*?", "中"),
            ("**", "a"),
        ] {
            assert!(matches(mask, text), "{mask} {text}");
        }
        for (mask, text) in [
            ("", "a"),
            ("a", ""),
            ("?", ""),
            ("a", "ab"),
            ("ab", "a"),
            ("a?", "a"),
            ("*a", "ab"),
            ("??", "中"),
            ("?*?", "中"),
            ("[a]", "{a}"),
        ] {
            assert!(!matches(mask, text), "{mask} {text}");
        }
    }

    #[test]
    fn hostile_masks_take_few_steps() {
        // With a tried-again branch at every star this would not end in a lifetime.
        assert!(!matches(&"*a".repeat(31), &"a".repeat(30)));
        assert!(!matches(
            &format!("{}b", "*a".repeat(200)),
            &"a".repeat(4000)
        ));
    }

    #[test]
    fn normalising() {
        for (mask, full) in [
            ("bob", "bob!*@*"),
            ("bob!x", "bob!x@*"),
            ("*@host", "*!*@host"),
            ("x@host", "*!x@host"),
            ("a!b@c", "a!b@c"),
            ("", "*!*@*"),
            ("!@", "*!*@*"),
            ("***a**", "*a*!*@*"),
            ("a@b!c", "*!a@b!c"),
        ] {
            let mut out = String::new();
            normalise(mask, &mut out).unwrap();
            assert_eq!(out, full, "{mask}");
        }
        assert!(normalise("toolong", &mut crate::text::Text::<9>::default()).is_err());
    }

    /// The definition, slow and plain.
    fn reference(mask: &[char], text: &[char]) -> bool {
        match mask {
            [] => text.is_empty(),
            ['*', rest @ ..] => (0..=text.len()).any(|n| reference(rest, &text[n..])),
            [c, rest @ ..] => match text {
                [] => false,
                [t, after @ ..] => {
                    (*c == '?' || c.eq_ignore_ascii_case(t)) && reference(rest, after)
                }
            },
        }
    }

    proptest::proptest! {
        #[test]
        fn agrees_with_the_definition(mask in "[aB中?*]{0,8}", text in "[Ab中é]{0,8}") {
            let chars = |s: &str| s.chars().collect::<Vec<_>>();
            proptest::prop_assert_eq!(matches(&mask, &text), reference(&chars(&mask), &chars(&text)));
        }

        #[test]
        fn normalising_twice_is_once(mask in "[a!@*?]{0,10}") {
            let (mut once, mut twice) = (String::new(), String::new());
            normalise(&mask, &mut once).unwrap();
            normalise(&once, &mut twice).unwrap();
            proptest::prop_assert_eq!(once, twice);
        }
    }
}
