//! Short replies: written into a pooled buffer, labelled when the command was.

use core::fmt::{self, Write};

use super::Server;
use super::channel::{Shape, Stage};
use super::conn::Pending;
use crate::id::AccountId;
use crate::irc::caps::Caps;
use crate::store::Reason;
use crate::tables::NIL;

/// Room that must be left in a reply buffer for a command to run: one line with a label and the frame of a batch.
pub(super) const REPLY_ROOM: usize = 700;

/// Text into a slice; what does not fit makes the whole not fit.
pub(super) struct Out<'b> {
    bytes: &'b mut [u8],
    used: usize,
    overflow: bool,
}

impl<'b> Out<'b> {
    pub(super) fn new(bytes: &'b mut [u8]) -> Self {
        Self {
            bytes,
            used: 0,
            overflow: false,
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.used
    }

    /// What was written.
    pub(super) fn text(&self) -> &str {
        self.bytes
            .get(..self.used)
            .and_then(|text| core::str::from_utf8(text).ok())
            .unwrap_or_default()
    }

    /// Whether something did not fit.
    pub(super) const fn is_overflown(&self) -> bool {
        self.overflow
    }

    /// Takes back what was written after `len`.
    pub(super) fn truncate(&mut self, len: usize) {
        self.used = len;
        self.overflow = false;
    }

    /// How many bytes were written, if all fit.
    pub(super) fn finish(self) -> Option<usize> {
        (!self.overflow).then_some(self.used)
    }
}

impl Write for Out<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        match self.bytes.get_mut(self.used..self.used + text.len()) {
            Some(place) if !self.overflow => {
                place.copy_from_slice(text.as_bytes());
                self.used += text.len();
            }
            _ => self.overflow = true,
        }
        Ok(())
    }
}

impl Server<'_> {
    /// Has a connection own a reply buffer with room for a command's reply. False when there is none just now.
    pub(super) fn reserve_reply(&mut self, c: u32) -> bool {
        let reply = &mut self.conns[c].reply;
        if reply.buffer == NIL {
            let Some(buffer) = self.replies.take() else {
                return false;
            };
            *reply = Pending {
                buffer,
                start: 0,
                end: 0,
            };
        }
        self.replies.size() - usize::from(reply.end) >= REPLY_ROOM
    }

    /// Writes a reply line. One that does not fit (commands keep to [`REPLY_ROOM`]) is left out.
    pub(super) fn reply(&mut self, c: u32, args: fmt::Arguments<'_>) {
        if self.conns[c].reply.buffer == NIL && !self.reserve_reply(c) {
            return;
        }
        let conn = &mut self.conns[c];
        let end = conn.reply.end;
        let mut out = Out::new(
            self.replies
                .get_mut(conn.reply.buffer)
                .get_mut(usize::from(end)..)
                .unwrap_or_default(),
        );
        if conn.batch {
            let _ = out.write_str("@batch=l ");
        }
        let _ = out.write_fmt(args);
        let _ = out.write_str("\r\n");
        if let Some(n) = out.finish() {
            conn.reply.end = end + n as u16;
            self.wake(c);
        }
    }

    /// Writes a numeric reply.
    pub(super) fn numeric(&mut self, c: u32, code: u16, args: fmt::Arguments<'_>) {
        let nick = self.nick_copy(c);
        let server = self.config.server_name;
        self.reply(c, format_args!(":{server} {code:03} {nick} {args}"));
    }

    /// Writes a standard reply (IRCv3 standard-replies); to those who do not know these, a notice.
    pub(super) fn standard(&mut self, c: u32, kind: &str, command: &str, args: fmt::Arguments<'_>) {
        let server = self.config.server_name;
        self.reply(c, format_args!(":{server} {kind} {command} {args}"));
    }

    /// Writes FAIL. `args`: code, context, and ` :description`.
    pub(super) fn fail(&mut self, c: u32, command: &str, args: fmt::Arguments<'_>) {
        self.standard(c, "FAIL", command, args);
    }

    /// Writes a notice from the server.
    pub(super) fn notice(&mut self, c: u32, args: fmt::Arguments<'_>) {
        let nick = self.nick_copy(c);
        let server = self.config.server_name;
        self.reply(c, format_args!(":{server} NOTICE {nick} :{args}"));
    }

    /// How a connection is addressed: its account's name, or what it calls itself, or `*`.
    pub(super) fn nick_of(&self, c: u32) -> &str {
        let conn = &self.conns[c];
        if conn.account != NIL && conn.is_welcomed() {
            &self.accounts[conn.account].name
        } else if conn.nick.is_empty() {
            "*"
        } else {
            &conn.nick
        }
    }

    pub(super) fn nick_copy(&self, c: u32) -> crate::name::Nick {
        crate::text::Text::truncated(self.nick_of(c))
    }

    /// Id of the account a connection is logged in to; none if none.
    pub(super) fn account_id(&self, c: u32) -> AccountId {
        match self.conns[c].account {
            NIL => AccountId::NONE,
            a => self.accounts[a].id,
        }
    }

    // ---- labels (IRCv3 labeled-response)

    /// Opens the batch for a labelled command whose answer has several lines.
    pub(super) fn open_batch(&mut self, c: u32) {
        if !self.conns[c].labelled || self.conns[c].batch {
            return;
        }
        let label = self.label(c);
        let server = self.config.server_name;
        // What was answered so far goes into the batch too.
        let Pending { buffer, start, end } = self.conns[c].reply;
        self.conns[c].labelled = false;
        if buffer == NIL || start == end {
            self.reply(
                c,
                format_args!("@label={label} :{server} BATCH +l labeled-response"),
            );
        } else {
            self.wrap_reply(c, &label);
        }
        self.conns[c].batch = true;
    }

    /// Ends the answer to a command: closes its batch, or labels its single line, or acknowledges that there was none.
    pub(super) fn close_answer(&mut self, c: u32) {
        let server = self.config.server_name;
        if self.conns[c].batch {
            self.conns[c].batch = false;
            self.reply(c, format_args!(":{server} BATCH -l"));
            return;
        }
        if !self.conns[c].labelled {
            return;
        }
        let label = self.label(c);
        self.conns[c].labelled = false;
        let Pending { buffer, start, end } = self.conns[c].reply;
        let lines = if buffer == NIL {
            0
        } else {
            let bytes = self.replies.get(buffer);
            bytes[usize::from(start)..usize::from(end)]
                .iter()
                .filter(|b| **b == b'\n')
                .count()
        };
        match lines {
            0 => self.reply(c, format_args!("@label={label} :{server} ACK")),
            1 => {
                self.insert(c, usize::from(start), format_args!("@label={label} "));
            }
            _ => {
                self.wrap_reply(c, &label);
                self.reply(c, format_args!(":{server} BATCH -l"));
            }
        }
        self.wake(c);
    }

    /// Puts the lines replied so far into a labelled batch (without its end).
    fn wrap_reply(&mut self, c: u32, label: &str) {
        let server = self.config.server_name;
        let Pending { buffer, start, .. } = self.conns[c].reply;
        let mut at = usize::from(start);
        while at < usize::from(self.conns[c].reply.end) {
            if !self.insert(c, at, format_args!("@batch=l ")) {
                return;
            }
            let bytes = &self.replies.get(buffer)[at..usize::from(self.conns[c].reply.end)];
            at += bytes
                .iter()
                .position(|b| *b == b'\n')
                .map_or(bytes.len(), |end| end + 1);
        }
        self.insert(
            c,
            usize::from(start),
            format_args!("@label={label} :{server} BATCH +l labeled-response\r\n"),
        );
    }

    /// Inserts into the reply; false when there is no room.
    fn insert(&mut self, c: u32, at: usize, args: fmt::Arguments<'_>) -> bool {
        let mut text = [0; 192];
        let mut out = Out::new(&mut text);
        let _ = out.write_fmt(args);
        let Some(n) = out.finish() else { return false };
        let Pending { buffer, start, end } = self.conns[c].reply;
        let bytes = self.replies.get_mut(buffer);
        if usize::from(end) + n > bytes.len() {
            return false;
        }
        bytes.copy_within(at..usize::from(end), at + n);
        bytes[at..at + n].copy_from_slice(&text[..n]);
        self.conns[c].reply = Pending {
            buffer,
            start,
            end: end + n as u16,
        };
        true
    }

    // ---- answers of appends

    /// What the sender of a message is told when it is not stored, or stored without an echo.
    pub(super) fn write_answer(&self, n: u32, buffer: &mut [u8]) -> usize {
        let append = &self.appends[n];
        let server = self.config.server_name;
        let mut out = Out::new(buffer);
        if !append.label.is_empty() {
            let _ = write!(out, "@label={} ", append.label);
        }
        let _ = match append.stage {
            Stage::Failed(reason) => {
                let command = append.kind.map_or("PRIVMSG", crate::store::Kind::command);
                let target = self.channels[append.channel].name_for(append.sender);
                write!(
                    out,
                    ":{server} FAIL {command} NOT_STORED {target} :{}\r\n",
                    reason_text(reason)
                )
            }
            _ => write!(out, ":{server} ACK\r\n"),
        };
        out.finish().unwrap_or(0)
    }

    /// Closes a connection with a last word.
    pub(super) fn close_with_error(&mut self, c: u32, reason: &str) {
        let conn = &mut self.conns[c];
        if conn.closing {
            return;
        }
        conn.batch = false;
        conn.labelled = false;
        if self.reserve_reply(c) || self.conns[c].reply.buffer != NIL {
            self.reply(c, format_args!("ERROR :{reason}"));
        }
        let conn = &mut self.conns[c];
        conn.closing = true;
        conn.pinged = false;
        // A socket that takes nothing would never be asked for again; now it is.
        conn.sending = false;
        self.wake(c);
    }

    /// Closes every connection of an account with a last word.
    pub(super) fn close_account(&mut self, a: u32, reason: &str) {
        let mut next = self.accounts[a].conns.front();
        while let Some(c) = next {
            next = crate::tables::List::<3>::next(&self.conns, c);
            self.close_with_error(c, reason);
        }
        if self.accounts[a].pins > self.accounts[a].online {
            // Also those that have logged in and are not welcomed yet.
            for c in 0..self.conns.high_water() {
                if self.conns.in_use(c) && self.conns[c].account == a {
                    self.close_with_error(c, reason);
                }
            }
        }
    }

    /// Prefixes of a member as NAMES, WHO and WHOIS show them: all of them with multi-prefix.
    pub(super) fn prefixes(&self, c: u32, flags: crate::store::MemberFlags) -> &'static str {
        use crate::store::MemberFlags as F;
        let all = self.conns[c].caps.contains(Caps::MULTI_PREFIX);
        match (
            flags.contains(F::FOUNDER),
            flags.contains(F::OPERATOR),
            flags.contains(F::VOICE),
        ) {
            (true, true, true) if all => "~@+",
            (true, true, _) if all => "~@",
            (true, false, true) if all => "~+",
            (true, ..) => "~",
            (_, true, true) if all => "@+",
            (_, true, _) => "@",
            (_, _, true) => "+",
            _ => "",
        }
    }

    /// Whether a channel is that room.
    pub(super) fn room_name(&self, ch: u32) -> crate::name::RoomName {
        match &self.channels[ch].shape {
            Shape::Room { name, .. } => *name,
            Shape::Direct { .. } => crate::name::RoomName::default(),
        }
    }
}

/// Why something was not stored, in words.
pub(super) const fn reason_text(reason: Reason) -> &'static str {
    match reason {
        Reason::Exists => "That name is taken",
        Reason::Full => "The server's storage is full; nothing was stored",
        Reason::Failed => "The server's storage failed; nothing was stored, please try again later",
    }
}
