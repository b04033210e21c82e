//! The store of a board, on a simulated medium, beside the tables: it does the same work, must give the same answers, and loses power
//! in the middle of what was being written at a crash.

use soqet_core::adapters::blocks::Blocks;
use soqet_core::adapters::flash::FlashStore;
use soqet_core::store::{BanRow, Operation, PageWriter, next_row};

use super::work::Answer;
use crate::draw::Draw;
use crate::media::{Card, Nor, Powered, ready};

/// Such a store, on whatever medium.
pub trait Mirror {
    /// Does an operation.
    fn execute(&mut self, operation: &Operation<'_>) -> Answer;

    /// Loses power, and starts anew; with an operation, in the middle of it.
    fn crash(&mut self, within: Option<&Operation<'_>>);
}

/// A chip or a card, as the seed decides.
pub fn draw(mut draw: Draw) -> Box<dyn Mirror> {
    if draw.chance(500) {
        Box::new(OnFlash::new(Nor::<4, 16384>::new(256, draw.fork()), draw))
    } else {
        Box::new(OnFlash::new(
            Blocks::new(Card::new(128 * 128, draw.fork())),
            draw,
        ))
    }
}

/// With few keys and heads, so that what happens rarely happens often.
type Small<M> = FlashStore<M, 64, 3>;

struct OnFlash<M> {
    /// There but for a moment within `crash`.
    store: Option<Small<M>>,
    draw: Draw,
}

impl<M: Powered> OnFlash<M> {
    fn new(medium: M, draw: Draw) -> Self {
        let mut mirror = Self { store: None, draw };
        mirror.open(medium);
        mirror
    }

    fn open(&mut self, medium: M) {
        let store = self.store.insert(Small::new(medium));
        if let Err(why) = ready(store.open(&mut [0; 512])) {
            panic!("the store on flash does not open: {why:?}");
        }
    }

    fn store(&mut self) -> &mut Small<M> {
        self.store.as_mut().expect("it is open")
    }
}

impl<M: Powered> Mirror for OnFlash<M> {
    fn execute(&mut self, operation: &Operation<'_>) -> Answer {
        let mut buffer = vec![0; 20_000];
        let answer = Answer::owned(&ready(self.store().execute(operation, &mut buffer)));
        if self.draw.chance(20) {
            ready(self.store().tidy());
        }
        answer
    }

    fn crash(&mut self, within: Option<&Operation<'_>>) {
        if let Some(operation) = within {
            let most = *self.draw.pick(&[10, 300, 20_000]).unwrap_or(&10);
            let steps = self.draw.below(most);
            self.store().flash().power().cut_after(steps);
            self.execute(operation);
        }
        if let Some(store) = self.store.take() {
            let mut medium = store.into_flash();
            medium.power().restore();
            self.open(medium);
        }
    }
}

/// Whether two answers to an operation are the same, but for the numbers of bans, which need only rise.
pub fn agree(operation: &Operation<'_>, tables: &Answer, flash: &Answer) -> bool {
    match (operation, tables, flash) {
        // One that was made before is known again by the store on flash.
        (Operation::CreateAccount(_), Answer::Refused(_), Answer::Created(_)) => true,
        (Operation::ReadBans { .. }, tables, flash) => unnumbered(tables) == unnumbered(flash),
        _ => tables == flash,
    }
}

fn unnumbered(answer: &Answer) -> Option<Vec<u8>> {
    let Answer::Page { rows, .. } = answer else {
        return None;
    };
    let mut buffer = vec![0; rows.len()];
    let mut page = PageWriter::new(&mut buffer);
    let mut rest = rows.as_slice();
    while let Some(ban) = next_row::<BanRow<'_>>(&mut rest) {
        page.push(&BanRow { id: 0, ..ban });
    }
    Some(page.rows().to_vec())
}
