//! RPL_ISUPPORT (005): what this server is like, token by token (modern.ircdocs.horse "RPL_ISUPPORT Parameters").

use core::fmt;

use super::message::BODY_MAX;
use super::mode::CHANGES_MAX;
use crate::name::{AWAY_MAX, DISPLAY_MAX, KEY_MAX, NICK_MAX, REASON_MAX, ROOM_MAX, TOPIC_MAX};

/// Most tokens of one 005: with the nick in front and the text behind they make 15 parameters.
pub const TOKENS_PER_LINE: usize = 13;
/// Targets of one PRIVMSG, NOTICE or TAGMSG at most.
pub const TARGETS_MAX: usize = 4;
const _: () = assert!(TARGETS_MAX == 4, "as TARGMAX says");
const TARGMAX: &str =
    "TARGMAX=PRIVMSG:4,NOTICE:4,TAGMSG:4,JOIN:,PART:,KICK:1,NAMES:1,WHOIS:1,MONITOR:";

/// What the tokens depend on; see [`Config`](crate::config::Config).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Context<'a> {
    /// Name of the network; no space.
    pub network: &'a str,
    /// Rooms an account may have joined.
    pub rooms_per_account: u16,
    /// Bans a room may have.
    pub bans_per_room: u16,
    /// Names a connection may MONITOR.
    pub watches: u16,
    /// Messages of a CHATHISTORY page.
    pub page: u16,
}

/// Writes token number `index`, from 0 on without a gap. False when there are no more.
pub fn write_token(
    context: &Context<'_>,
    index: usize,
    out: &mut impl fmt::Write,
) -> Result<bool, fmt::Error> {
    let Context {
        network,
        rooms_per_account,
        bans_per_room,
        watches,
        page,
    } = *context;
    // With a number or without.
    let (token, number) = match index {
        0 => return write!(out, "NETWORK={network}").map(|()| true),
        1 => ("CASEMAPPING=ascii", None),
        2 => ("UTF8ONLY", None),
        3 => ("CHANTYPES=#", None),
        4 => ("PREFIX=(qov)~@+", None),
        5 => ("CHANMODES=b,k,l,imnst", None),
        6 => ("MODES=", Some(CHANGES_MAX)),
        7 => ("CHANLIMIT=#:", Some(rooms_per_account.into())),
        8 => ("MAXLIST=b:", Some(bans_per_room.into())),
        9 => ("NICKLEN=", Some(NICK_MAX)),
        10 => ("USERLEN=", Some(NICK_MAX)),
        11 => ("NAMELEN=", Some(DISPLAY_MAX)),
        12 => ("CHANNELLEN=", Some(ROOM_MAX)),
        13 => ("TOPICLEN=", Some(TOPIC_MAX)),
        14 => ("KICKLEN=", Some(REASON_MAX)),
        15 => ("AWAYLEN=", Some(AWAY_MAX)),
        16 => ("KEYLEN=", Some(KEY_MAX)),
        17 => ("LINELEN=", Some(BODY_MAX + 2)),
        18 => (TARGMAX, None),
        19 => ("MONITOR=", Some(watches.into())),
        20 => ("WHOX", None),
        21 => ("SAFELIST", None),
        22 => ("CHATHISTORY=", Some(page.into())),
        // In order of preference: both are exact here, and times are what the read marker uses too.
        23 => ("MSGREFTYPES=timestamp,msgid", None),
        _ => return Ok(false),
    };
    out.write_str(token)?;
    if let Some(number) = number {
        write!(out, "{number}")?;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens() {
        let context = Context {
            network: "soQet",
            rooms_per_account: 50,
            bans_per_room: 100,
            watches: 99,
            page: 101,
        };
        let mut all = Vec::new();
        loop {
            let mut token = String::new();
            if !write_token(&context, all.len(), &mut token).unwrap() {
                assert_eq!(token, "");
                break;
            }
            assert!(
                !token.is_empty() && !token.contains(' ') && token.len() < 110,
                "{token}"
            );
            all.push(token);
        }
        for token in [
            "NETWORK=soQet",
            "CHANLIMIT=#:50",
            "MAXLIST=b:100",
            "MONITOR=99",
            "CHATHISTORY=101",
            "LINELEN=512",
            "NICKLEN=23",
        ] {
            assert!(all.iter().any(|t| t == token), "{token}");
        }
        // Each line with its source and nick fits in 512 bytes.
        for line in all.chunks(TOKENS_PER_LINE) {
            let tokens: usize = line.iter().map(|t| t.len() + 1).sum();
            assert!(tokens + 63 + NICK_MAX + 50 < 512);
        }
        let mut names: Vec<_> = all.iter().map(|t| t.split('=').next().unwrap()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all.len());
    }

    #[test]
    fn modes_shown_are_those_parsed() {
        use crate::irc::mode::{Mode, RoomModes};
        let mut token = String::new();
        let context = Context {
            network: "",
            rooms_per_account: 0,
            bans_per_room: 0,
            watches: 0,
            page: 0,
        };
        write_token(&context, 5, &mut token).unwrap();
        assert_eq!(token, format!("CHANMODES=b,k,l,{}", RoomModes::all()));
        for letter in "bklqov".chars() {
            assert!(!matches!(
                Mode::from_letter(letter),
                None | Some(Mode::Flag(_))
            ));
        }
    }
}
