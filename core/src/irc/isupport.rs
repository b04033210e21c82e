//! RPL_ISUPPORT (005): what this server is like, token by token (modern.ircdocs.horse "RPL_ISUPPORT Parameters").

use core::fmt;

use super::message::BODY_MAX;
use super::mode::CHANGES_MAX;
use crate::name::{AWAY_MAX, DISPLAY_MAX, KEY_MAX, NICK_MAX, REASON_MAX, ROOM_MAX, TOPIC_MAX};

/// Most tokens of one 005: with the nick in front and the text behind they make 15 parameters.
pub const TOKENS_PER_LINE: usize = 13;
/// Targets of one PRIVMSG, NOTICE or TAGMSG at most.
pub const TARGETS_MAX: usize = 4;

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
    match index {
        0 => write!(out, "NETWORK={network}"),
        1 => out.write_str("CASEMAPPING=ascii"),
        2 => out.write_str("UTF8ONLY"),
        3 => out.write_str("CHANTYPES=#"),
        4 => out.write_str("PREFIX=(qov)~@+"),
        5 => out.write_str("CHANMODES=b,k,l,imnst"),
        6 => write!(out, "MODES={CHANGES_MAX}"),
        7 => write!(out, "CHANLIMIT=#:{rooms_per_account}"),
        8 => write!(out, "MAXLIST=b:{bans_per_room}"),
        9 => write!(out, "NICKLEN={NICK_MAX}"),
        10 => write!(out, "USERLEN={NICK_MAX}"),
        11 => write!(out, "NAMELEN={DISPLAY_MAX}"),
        12 => write!(out, "CHANNELLEN={ROOM_MAX}"),
        13 => write!(out, "TOPICLEN={TOPIC_MAX}"),
        14 => write!(out, "KICKLEN={REASON_MAX}"),
        15 => write!(out, "AWAYLEN={AWAY_MAX}"),
        16 => write!(out, "KEYLEN={KEY_MAX}"),
        17 => write!(out, "LINELEN={}", BODY_MAX + 2),
        18 => write!(
            out,
            "TARGMAX=PRIVMSG:{TARGETS_MAX},NOTICE:{TARGETS_MAX},TAGMSG:{TARGETS_MAX},JOIN:,PART:,KICK:1,NAMES:1,WHOIS:1,MONITOR:"
        ),
        19 => write!(out, "MONITOR={watches}"),
        20 => out.write_str("WHOX"),
        21 => out.write_str("SAFELIST"),
        22 => write!(out, "CHATHISTORY={page}"),
        // In order of preference: both are exact here, and times are what the read marker uses too.
        23 => out.write_str("MSGREFTYPES=timestamp,msgid"),
        _ => return Ok(false),
    }?;
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
