//! What one connection has shown its user, and what it should have shown.

use std::collections::{BTreeMap, BTreeSet};

use soqet_core::id::{ChannelId, Seq};

use super::Ledger;
use crate::line::fold;

/// Whose screen it is.
#[derive(Clone, Debug)]
pub struct Viewer {
    /// The account's name.
    pub nick: String,
    /// Whether it is sent its own messages (echo-message).
    pub echo: bool,
    /// Whether it sees the identities of entries; else it knows only messages with a mark.
    pub ids: bool,
    /// Whether holes are objected to at once: what is replayed has some where reads fail for good.
    pub strict: bool,
}

/// One channel on a screen.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Whether new entries are to be shown.
    pub active: bool,
    /// Everything after this was to be shown without a hole.
    pub floor: Seq,
    /// Nothing was shown since the channel was introduced, and what comes first may be the last of what was missed.
    pub fresh: bool,
    /// The user left at some time, and missed what was said until it came back.
    pub left: bool,
    /// The newest place shown live.
    pub last: Seq,
    /// Places shown live.
    pub live: BTreeSet<Seq>,
    /// The first place shown live on this connection, and the last that was committed then.
    pub first: Option<(Seq, Seq)>,
}

/// The screen of one connection.
#[derive(Clone, Debug, Default)]
pub struct Screen {
    /// Its channels.
    pub views: BTreeMap<ChannelId, View>,
    /// How many commits there were when the login was complete: private messages are shown from there on.
    pub login_order: u64,
}

impl Screen {
    /// The channel is (again) shown from here on: after joining, or after the server said that something was left out.
    /// With `replayed` the last of what was missed comes first.
    pub fn begin(&mut self, channel: ChannelId, replayed: bool, ledger: &Ledger) {
        let view = self.views.entry(channel).or_default();
        view.fresh = replayed;
        view.active = true;
        view.floor = ledger.last(channel);
    }

    /// The user left.
    pub fn end(&mut self, channel: ChannelId) {
        let view = self.views.entry(channel).or_default();
        (view.active, view.left) = (false, true);
    }

    /// The view of a channel; a direct chat is shown from the login on.
    pub fn view(&mut self, channel: ChannelId, direct: bool, ledger: &Ledger) -> &mut View {
        let order = self.login_order;
        self.views.entry(channel).or_insert_with(|| View {
            active: direct,
            floor: if direct {
                ledger.last_before(channel, order)
            } else {
                ledger.last(channel)
            },
            ..View::default()
        })
    }

    /// An entry came live. `Err` when it is out of order, or when one before it was left out.
    pub fn live(
        &mut self,
        channel: ChannelId,
        seq: Seq,
        direct: bool,
        viewer: &Viewer,
        ledger: &Ledger,
    ) -> Result<(), String> {
        let place = format!("{} in channel {}", seq.0, channel.0);
        let committed = ledger.last(channel);
        let view = self.view(channel, direct, ledger);
        if view.live.contains(&seq) {
            return Err(format!("{} was shown place {place} twice", viewer.nick));
        }
        if seq < view.last {
            return Err(format!(
                "{} was shown place {place} after {}",
                viewer.nick, view.last.0
            ));
        }
        if std::mem::take(&mut view.fresh) {
            view.floor = Seq(seq.0 - 1);
        }
        let missing = missing(view.floor, seq, channel, view, viewer, ledger);
        view.first.get_or_insert((seq, committed));
        view.live.insert(seq);
        view.last = seq;
        view.floor = seq;
        match missing.filter(|_| viewer.strict) {
            Some(hole) => Err(format!(
                "{} was shown place {place} but not {} before it",
                viewer.nick, hole.0
            )),
            None => Ok(()),
        }
    }

    /// At rest: `Err` when an entry of an active channel was not shown.
    pub fn complete(&self, viewer: &Viewer, ledger: &Ledger) -> Result<(), String> {
        for (channel, view) in self.views.iter().filter(|(_, view)| view.active) {
            let end = Seq(ledger.last(*channel).0 + 1);
            if let Some(hole) = missing(view.floor, end, *channel, view, viewer, ledger) {
                return Err(format!(
                    "{} is online but was never shown place {} of channel {} (shown up to {})",
                    viewer.nick, hole.0, channel.0, view.last.0
                ));
            }
        }
        Ok(())
    }
}

/// The first message between two places that should have been shown and was not.
fn missing(
    after: Seq,
    before: Seq,
    channel: ChannelId,
    view: &View,
    viewer: &Viewer,
    ledger: &Ledger,
) -> Option<Seq> {
    ledger
        .messages(channel, after, before)
        .filter(|noted| viewer.ids || noted.marked)
        .filter(|noted| viewer.echo || fold(&noted.entry.nick) != fold(&viewer.nick))
        .map(|noted| noted.entry.seq)
        .find(|seq| !view.live.contains(seq))
}

#[cfg(test)]
mod tests {
    use soqet_core::id::{AccountId, MsgId};
    use soqet_core::store::Kind;

    use super::*;
    use crate::store::{Commit, OwnedEntry};

    const ROOM: ChannelId = ChannelId(1);

    /// Three messages of ann's and a join, which nobody need be shown.
    fn ledger() -> Ledger {
        let mut ledger = Ledger::default();
        for seq in 1..=4 {
            let kind = if seq == 2 { Kind::Join } else { Kind::Privmsg };
            let entry = OwnedEntry {
                seq: Seq(seq),
                time: seq,
                msgid: MsgId(seq),
                kind,
                sender: AccountId(1),
                nick: "ann".to_owned(),
                tags: String::new(),
                subject: String::new(),
                text: String::new(),
            };
            let commit = Commit {
                channel: ROOM,
                entry,
            };
            ledger.add(commit, None).unwrap();
        }
        ledger
    }

    fn viewer(nick: &str, echo: bool) -> Viewer {
        Viewer {
            nick: nick.to_owned(),
            echo,
            ids: true,
            strict: true,
        }
    }

    fn show(places: &[u64], who: &Viewer) -> Result<(), String> {
        let ledger = ledger();
        let mut screen = Screen::default();
        screen.begin(ROOM, false, &Ledger::default());
        for place in places {
            screen.live(ROOM, Seq(*place), false, who, &ledger)?;
        }
        screen.complete(who, &ledger)
    }

    #[test]
    fn what_is_missing_twice_or_out_of_order_is_noticed() {
        let bob = viewer("bob", false);
        assert_eq!(show(&[1, 2, 3, 4], &bob), Ok(()));
        assert_eq!(show(&[1, 3, 4], &bob), Ok(()));
        assert!(show(&[1, 4], &bob).unwrap_err().contains("not 3"));
        assert!(show(&[1, 3], &bob).unwrap_err().contains("never shown"));
        assert!(show(&[1, 3, 3], &bob).unwrap_err().contains("twice"));
        assert!(show(&[1, 3, 2], &bob).unwrap_err().contains("after"));
    }

    #[test]
    fn who_wants_no_echo_misses_nothing_of_his_own() {
        assert_eq!(show(&[], &viewer("Ann", false)), Ok(()));
        assert!(show(&[], &viewer("Ann", true)).is_err());
    }

    #[test]
    fn what_was_left_out_openly_is_not_missing() {
        let (ledger, bob) = (ledger(), viewer("bob", false));
        let mut screen = Screen::default();
        screen.begin(ROOM, false, &Ledger::default());
        screen.live(ROOM, Seq(1), false, &bob, &ledger).unwrap();
        screen.begin(ROOM, false, &ledger);
        assert_eq!(screen.complete(&bob, &ledger), Ok(()));
        screen.live(ROOM, Seq(4), false, &bob, &ledger).unwrap();
    }
}
