//! What operations cost in accesses to the medium: the table in docs/store.md.

use embedded_storage_async::nor_flash::NorFlash;
use soqet_core::adapters::blocks::Blocks;
use soqet_core::adapters::flash::FlashStore;
use soqet_core::id::{AccountId, ChannelId, Seq};
use soqet_core::store::{
    AccountRecord, Change, ChannelKey, Kind, Marker, Operation, Selector, Verifier,
};
use soqet_sim::draw::Draw;
use soqet_sim::media::{Card, Counts, Nor, ready};
use soqet_sim::store::Answer;

use crate::workload::message;

trait Counted: NorFlash {
    fn counts(&self) -> Counts;
}

impl Counted for Nor<1, 65536> {
    fn counts(&self) -> Counts {
        self.counts
    }
}

impl Counted for Blocks<Card> {
    fn counts(&self) -> Counts {
        self.device().counts
    }
}

/// A board's store: 40 accounts, 8 rooms with 20 members each, 20 direct chats, some hundred messages a room.
struct Board<F: Counted> {
    store: FlashStore<F>,
    msgid: u64,
}

impl<F: Counted> Board<F> {
    fn new(medium: F) -> Self {
        let mut store = FlashStore::new(medium);
        ready(store.open(&mut [0; 512])).unwrap();
        let mut board = Self { store, msgid: 0 };
        for n in 0..40u8 {
            board.ask(&Operation::CreateAccount(AccountRecord {
                id: AccountId::NONE,
                name: &format!("account{n}"),
                display: "Somebody of Somewhere",
                titles: "cook",
                flags: 0,
                verifier: Verifier {
                    iterations: 4096,
                    salt: [n; 16],
                    stored_key: [n; 32],
                    server_key: [n; 32],
                },
                created: 1_795_369_414_000,
            }));
        }
        for n in 0..28 {
            let name = format!("#room{n}");
            let key = match n {
                0..8 => ChannelKey::Room(&name),
                _ => ChannelKey::Direct(AccountId(1), AccountId(n)),
            };
            board.ask(&Operation::CreateChannel {
                key,
                founder: AccountId(1),
                time: 1_795_369_414_000,
                modes: 0,
            });
        }
        for channel in 1..=8 {
            for account in 1..=20 {
                let account = AccountId(account);
                board.append(channel, Kind::Join, Change::Member { account, flags: 1 });
            }
        }
        for n in 0..8 * 600 {
            board.append(1 + n % 8, Kind::Privmsg, Change::None);
        }
        for channel in 9..=28 {
            for _ in 0..20 {
                board.append(channel, Kind::Privmsg, Change::None);
            }
        }
        board
    }

    fn ask(&mut self, operation: &Operation<'_>) -> Answer {
        let mut buffer = [0; 1200];
        let answer = Answer::owned(&ready(self.store.execute(operation, &mut buffer)));
        assert!(!matches!(answer, Answer::Refused(_) | Answer::Unknown));
        answer
    }

    fn append(&mut self, channel: u32, kind: Kind, change: Change<'_>) {
        self.msgid += 1;
        let mut append = message(ChannelId(channel), self.msgid << 20);
        append.entry.kind = kind;
        append.entry.tags = "";
        append.entry.text =
            "About as many words as people put into one message of a chat, sixty more or less.";
        append.time = 1_795_369_414_000 + self.msgid;
        append.keep = 1000;
        append.change = change;
        self.ask(&Operation::Append(append));
    }

    /// What something costs.
    fn cost(&mut self, what: impl FnOnce(&mut Self)) -> Counts {
        let before = self.store.flash().counts();
        what(self);
        self.store.flash().counts().since(&before)
    }

    fn measure(&mut self, name: &str, table: &mut Vec<(String, Counts)>) {
        let channel = ChannelId(3);
        let mut row = |what: &str, counts| table.push((format!("{name} {what}"), counts));
        let mut most = Counts::default();
        let mut sum = Counts::default();
        for n in 0..400 {
            let counts = self.cost(|board| board.append(1 + n % 4, Kind::Privmsg, Change::None));
            sum.writes += counts.writes;
            sum.written_bytes += counts.written_bytes;
            sum.reads += counts.reads;
            sum.read_bytes += counts.read_bytes;
            sum.erases += counts.erases;
            if (counts.erases, counts.reads) > (most.erases, most.reads) {
                most = counts;
            }
        }
        row("400 messages", sum);
        row("message, worst", most);
        let account = AccountId(30);
        let join = Change::Member { account, flags: 1 };
        row("join", self.cost(|board| board.append(3, Kind::Join, join)));
        let mut seq = 0;
        let mut merge = Counts::default();
        let markers = self.cost(|board| {
            for _ in 0..400 {
                seq += 1;
                let counts = board.cost(|board| {
                    board.ask(&Operation::PutMarker {
                        channel: ChannelId(1 + (seq % 8) as u32),
                        account: AccountId(1 + (seq % 20) as u32),
                        read: Marker {
                            seq: Seq(seq),
                            time: seq,
                        },
                        delivered: Seq(seq),
                    });
                });
                if counts.writes > merge.writes {
                    merge = counts;
                }
            }
        });
        row("400 read markers", markers);
        row("one that merges", merge);
        // More than half of the keys are in the log again.
        let tidied = self.cost(|board| while ready(board.store.tidy()) {});
        row("merge while idle", tidied);
        let locate = |selector| Operation::Locate {
            channel,
            selector,
            limit: 50,
            events: false,
            last: Seq(u64::MAX >> 1),
        };
        let latest = locate(Selector::Latest(None));
        row(
            "bounds of the latest 50",
            self.cost(|board| drop(board.ask(&latest))),
        );
        let middle = locate(Selector::Before(soqet_core::store::Bound::Time(
            1_795_369_414_000 + 2500,
        )));
        let mut bounds = None;
        let counts = self.cost(|board| {
            if let Answer::Bounds(found) = board.ask(&middle) {
                bounds = found;
            }
        });
        row("bounds of 50 before a time", counts);
        let (first, last) = bounds.expect("there are messages");
        let rows = self.cost(|board| {
            let mut first = first;
            while first <= last {
                let answer = board.ask(&Operation::ReadHistory {
                    channel,
                    first,
                    last,
                    bytes: 1024,
                });
                let Answer::Page { rows, .. } = answer else {
                    break;
                };
                let mut rest = rows.as_slice();
                while let Some(entry) =
                    soqet_core::store::next_row::<soqet_core::store::Entry<'_>>(&mut rest)
                {
                    first = Seq(entry.seq.0 + 1);
                }
            }
        });
        row("rows of these 50", rows);
        let account = AccountId(7);
        let reads = [
            (
                "account by name",
                Operation::FindAccount { name: "account33" },
            ),
            (
                "room by name",
                Operation::FindChannel(ChannelKey::Room("#room5")),
            ),
            ("membership", Operation::FindMember { channel, account }),
            (
                "members of a room",
                Operation::ReadMembers {
                    channel,
                    after: AccountId::NONE,
                    bytes: 1024,
                },
            ),
            (
                "rooms of an account",
                Operation::ReadMemberships {
                    account,
                    after: ChannelId::NONE,
                    bytes: 1024,
                },
            ),
            (
                "unread direct chats, of 20",
                Operation::ReadUnreadDirects {
                    account: AccountId(1),
                    after: ChannelId::NONE,
                    bytes: 1024,
                },
            ),
            (
                "targets, of 28",
                Operation::ReadTargets {
                    account: AccountId(1),
                    from: 0,
                    to: u64::MAX,
                    after: (0, ChannelId::NONE),
                    bytes: 1024,
                },
            ),
        ];
        for (what, operation) in reads {
            row(what, self.cost(|board| drop(board.ask(&operation))));
        }
    }
}

/// Nothing gets dearer by accident. `cargo test -p soqet-sim --test flash costs -- --nocapture` prints the table.
#[test]
fn costs_are_bounded() {
    let mut table = Vec::new();
    let mut chip = Board::new(Nor::<1, 65536>::new(256, Draw::new(1, 1)));
    chip.measure("chip:", &mut table);
    let mut store = FlashStore::<_>::new(chip.store.into_flash());
    let before = store.flash().counts();
    ready(store.open(&mut [0; 512])).unwrap();
    let start = store.flash().counts().since(&before);
    table.push(("chip: start".to_owned(), start));
    let mut card = Board::new(Blocks::new(Card::new(512 * 128, Draw::new(1, 1))));
    card.measure("card:", &mut table);
    for (what, counts) in &table {
        // A read of SPI at 25 MHz and 10 us around it, 0.7 ms for 256 bytes, 0.5 s for a sector; of a card 0.5 and 2 ms a block.
        let ms = if what.starts_with("chip") {
            counts.reads as f64 * 0.0113
                + counts.read_bytes as f64 * 0.00032
                + counts.writes as f64 * 0.35
                + counts.written_bytes as f64 * 0.0027
                + counts.erases as f64 * 500.0
        } else {
            counts.reads as f64 * 0.5 + counts.writes as f64 * 2.0
        };
        println!(
            "{what}: {} reads of {} B, {} writes of {} B, {} erasures: {ms:.1} ms",
            counts.reads, counts.read_bytes, counts.writes, counts.written_bytes, counts.erases
        );
    }
    let of = |what: &str| {
        table
            .iter()
            .find(|row| row.0 == what)
            .expect("it is there")
            .1
    };
    assert!(of("chip: 400 messages").reads < 20_000);
    assert!(of("chip: rows of these 50").reads < 2_000);
    assert!(of("chip: account by name").reads < 200);
    assert!(of("chip: one that merges").reads < 20_000);
    assert!(of("card: rows of these 50").reads < 400);
    assert!(of("card: 400 messages").writes < 1_200);
}
