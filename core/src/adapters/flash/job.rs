//! An operation on its way through the store, with the buffer that holds its texts and then its answer.

use embedded_storage_async::nor_flash::NorFlash;

use super::{FlashStore, SCRATCH};
use crate::id::Ticket;
use crate::store::packed::Packed;
use crate::store::{Effect, Outcome, Reason};

/// Room for one operation and its answer. `N` bytes hold the texts of an operation beside [`SCRATCH`] bytes, and a page beside the few
/// texts of an operation that reads one.
pub struct Job<const N: usize> {
    work: Option<(Ticket, Option<Packed>)>,
    /// How many bytes at the end of the buffer are texts.
    texts: usize,
    buffer: [u8; N],
}

impl<const N: usize> Job<N> {
    /// Nothing to do.
    pub const fn new() -> Self {
        const { assert!(N >= 2 * SCRATCH, "a job needs more room") };
        Self {
            work: None,
            texts: 0,
            buffer: [0; N],
        }
    }

    /// Takes an effect over from the server, in place of any before.
    pub fn take(&mut self, effect: &Effect<'_>) {
        let length = Packed::length(&effect.operation);
        let fits = length + SCRATCH <= N;
        self.texts = if fits { length } else { 0 };
        let texts = &mut self.buffer[N - self.texts..];
        let packed = Packed::new(&effect.operation, texts);
        self.work = Some((effect.ticket, packed));
    }

    /// Whether there is something to do.
    pub const fn is_idle(&self) -> bool {
        self.work.is_none()
    }

    /// The buffer, while there is nothing to do: [`FlashStore::open`] needs one.
    pub fn scratch(&mut self) -> &mut [u8] {
        &mut self.buffer
    }

    /// Does it; `None` when there is nothing to do. When dropped before its end, it may or may not have been done, and can be run again.
    pub async fn run<F: NorFlash, const KEYS: usize, const HEADS: usize>(
        &mut self,
        store: &mut FlashStore<F, KEYS, HEADS>,
    ) -> Option<(Ticket, Outcome<'_>)> {
        let (ticket, packed) = self.work.as_ref()?;
        let (answer, texts) = self.buffer.split_at_mut(N - self.texts);
        let outcome = match packed {
            Some(packed) => store.execute(&packed.operation(texts), answer).await,
            None => Outcome::Refused(Reason::Failed),
        };
        Some((*ticket, outcome))
    }

    /// It is answered: there is nothing to do.
    pub fn finish(&mut self) {
        self.work = None;
    }
}

impl<const N: usize> Default for Job<N> {
    fn default() -> Self {
        Self::new()
    }
}
