//! A store on a simulated medium beside the model, and questions that show all they hold.

use soqet_core::adapters::blocks::Blocks;
use soqet_core::adapters::flash::{Error, FlashStore, Opened};
use soqet_core::id::{AccountId, ChannelId, MsgId, Seq};
use soqet_core::store::{BanRow, Bound, ChannelKey, Operation, PageWriter, Selector, next_row};
use soqet_sim::draw::Draw;
use soqet_sim::media::{Card, ready};
use soqet_sim::store::{Answer, Tables, Work};

pub use soqet_sim::media::Powered as Medium;

/// A card as the store sees it.
pub fn card(sectors: usize, draw: Draw) -> Blocks<Card> {
    Blocks::new(Card::new(sectors * 128, draw))
}

/// Few keys and heads, so that what happens rarely happens often.
pub type Small<M> = FlashStore<M, 48, 2>;

/// Opens what is on a medium whose power is on.
pub fn open<M: Medium>(medium: M) -> Result<(Small<M>, Opened), Error<M::Error>> {
    let mut store = Small::new(medium);
    let opened = ready(store.open(&mut [0; 512]))?;
    Ok((store, opened))
}

/// Does an operation.
pub fn ask<M: Medium>(store: &mut Small<M>, operation: &Operation<'_>) -> Answer {
    let mut buffer = [0; 3000];
    Answer::owned(&ready(store.execute(operation, &mut buffer)))
}

/// Does it in the model.
pub fn ask_model(model: &mut Tables, operation: &Operation<'_>) -> Answer {
    model.execute(&Work::owned(operation), &mut Vec::new())
}

/// Asks both and compares.
fn same<M: Medium>(
    store: &mut Small<M>,
    model: &mut Tables,
    operation: &Operation<'_>,
) -> Result<(), String> {
    let (found, expected) = (ask(store, operation), ask_model(model, operation));
    let (found, expected) = match operation {
        Operation::ReadBans { .. } => (unnumbered(found), unnumbered(expected)),
        _ => (found, expected),
    };
    if found == expected {
        Ok(())
    } else {
        Err(format!("{operation:?}\n{found:?}\nis not\n{expected:?}"))
    }
}

/// Asks everything and compares, `accounts` and `channels` being the highest ids.
pub fn compare<M: Medium>(
    store: &mut Small<M>,
    model: &mut Tables,
    (accounts, channels): (u32, u32),
) -> Result<(), String> {
    let bytes = 2500;
    same(store, model, &Operation::LoadSettings)?;
    same(store, model, &Operation::FindGuest)?;
    same(
        store,
        model,
        &Operation::ReadAccounts {
            prefix: "",
            after: "",
            bytes,
        },
    )?;
    let after = ChannelId::NONE;
    same(store, model, &Operation::ReadRooms { after, bytes })?;
    for id in 1..=accounts {
        let account = AccountId(id);
        same(store, model, &Operation::LoadAccount { account })?;
        same(
            store,
            model,
            &Operation::ReadMemberships {
                account,
                after,
                bytes,
            },
        )?;
        if model_has(model, account) {
            same(
                store,
                model,
                &Operation::ReadUnreadDirects {
                    account,
                    after,
                    bytes,
                },
            )?;
            same(
                store,
                model,
                &Operation::ReadTargets {
                    account,
                    from: 0,
                    to: u64::MAX,
                    after: (0, after),
                    bytes,
                },
            )?;
        }
        for channel in 1..=channels {
            let channel = ChannelId(channel);
            same(store, model, &Operation::FindMember { channel, account })?;
        }
    }
    for id in 1..=channels {
        let channel = ChannelId(id);
        same(
            store,
            model,
            &Operation::FindChannel(ChannelKey::Id(channel)),
        )?;
        same(
            store,
            model,
            &Operation::ReadBans {
                channel,
                after: 0,
                bytes,
            },
        )?;
        same(
            store,
            model,
            &Operation::ReadMembers {
                channel,
                after: AccountId::NONE,
                bytes,
            },
        )?;
        let mut first = 1;
        while let Answer::Page { rows, more } = ask_model(
            model,
            &Operation::ReadHistory {
                channel,
                first: Seq(first),
                last: Seq(u64::MAX),
                bytes,
            },
        ) {
            same(
                store,
                model,
                &Operation::ReadHistory {
                    channel,
                    first: Seq(first),
                    last: Seq(u64::MAX),
                    bytes,
                },
            )?;
            let mut rest = rows.as_slice();
            while let Some(entry) = next_row::<soqet_core::store::Entry<'_>>(&mut rest) {
                first = entry.seq.0 + 1;
            }
            if !more {
                break;
            }
        }
    }
    Ok(())
}

fn model_has(model: &mut Tables, account: AccountId) -> bool {
    let answer = ask_model(model, &Operation::LoadAccount { account });
    matches!(answer, Answer::Account(Some(_)))
}

/// Bans without their numbers, which need only rise.
fn unnumbered(answer: Answer) -> Answer {
    let Answer::Page { rows, more } = answer else {
        return answer;
    };
    let mut buffer = vec![0; rows.len()];
    let mut page = PageWriter::new(&mut buffer);
    let (mut rest, mut last) = (rows.as_slice(), 0);
    while let Some(ban) = next_row::<BanRow<'_>>(&mut rest) {
        assert!(ban.id > last);
        last = ban.id;
        page.push(&BanRow { id: 0, ..ban });
    }
    let rows = page.rows().to_vec();
    Answer::Page { rows, more }
}

/// Asks for the bounds of a random page of history, and compares.
pub fn compare_bounds<M: Medium>(
    store: &mut Small<M>,
    model: &mut Tables,
    draw: &mut Draw,
    channels: u32,
) -> Result<(), String> {
    let channel = ChannelId(draw.between(1, u64::from(channels)) as u32);
    let last = model
        .channel(channel)
        .map_or(0, |channel| channel.row.last.0);
    let mut bound = || match draw.below(3) {
        0 => Bound::Seq(Seq(draw.between(0, last + 2))),
        1 => Bound::Time(draw.between(0, 3_000)),
        _ => Bound::Id(MsgId(draw.between(0, 4_000))),
    };
    let (a, b) = (bound(), bound());
    let selector = match draw.below(6) {
        0 => Selector::Latest(None),
        1 => Selector::Latest(Some(a)),
        2 => Selector::Before(a),
        3 => Selector::After(a),
        4 => Selector::Around(a),
        _ => Selector::Between(a, b),
    };
    let operation = Operation::Locate {
        channel,
        selector,
        limit: draw.between(1, 50) as u16,
        events: draw.chance(500),
        last: Seq(last.saturating_sub(draw.below(3))),
    };
    same(store, model, &operation)
}
