//! Who pays for how many blocks. A payer is in the table only while it pays, so as many payers as blocks always suffice; in a
//! smaller table those for whom there is no room share the first slot, "the others".

use super::ring::NONE;
use crate::id::AccountId;

/// The slot of those for whom there is no slot of their own.
const OTHERS: u32 = 0;

/// Somebody whom blocks are charged to.
#[derive(Clone, Copy, Debug)]
pub struct Payer {
    account: AccountId,
    /// How many blocks it pays for.
    pub(super) weight: u32,
    /// Its blocks, linked from the one opened first to the one opened last.
    pub(super) oldest: u32,
    pub(super) newest: u32,
    /// First of the payers whose account falls on this slot.
    bucket: u32,
    /// Next payer of the same bucket, or next free slot.
    next: u32,
}

impl Payer {
    /// A free slot.
    pub const EMPTY: Self = Self {
        account: AccountId::NONE,
        weight: 0,
        oldest: NONE,
        newest: NONE,
        bucket: NONE,
        next: NONE,
    };
}

impl Default for Payer {
    fn default() -> Self {
        Self::EMPTY
    }
}

/// The table. Buckets are chained inside it, so slots never move.
pub(super) struct Payers<'a> {
    slots: &'a mut [Payer],
    free: u32,
}

impl<'a> Payers<'a> {
    /// Needs at least one slot.
    pub(super) fn new(slots: &'a mut [Payer]) -> Self {
        slots.fill(Payer::EMPTY);
        let mut free = NONE;
        for (index, slot) in slots.iter_mut().enumerate().skip(1).rev() {
            slot.next = free;
            free = index as u32;
        }
        Self { slots, free }
    }

    pub(super) fn get(&mut self, payer: u32) -> &mut Payer {
        &mut self.slots[payer as usize]
    }

    pub(super) fn all(&self) -> &[Payer] {
        self.slots
    }

    /// The slot of an account that pays already.
    pub(super) fn find(&self, account: AccountId) -> Option<u32> {
        let mut at = self.slots[self.bucket(account)].bucket;
        while at != NONE {
            let slot = &self.slots[at as usize];
            if slot.account == account {
                return Some(at);
            }
            at = slot.next;
        }
        None
    }

    /// The slot an account is to pay from.
    pub(super) fn acquire(&mut self, account: AccountId) -> u32 {
        if account.is_none() {
            return OTHERS;
        }
        if let Some(found) = self.find(account) {
            return found;
        }
        let taken = self.free;
        if taken == NONE {
            return OTHERS;
        }
        self.free = self.slots[taken as usize].next;
        let bucket = self.bucket(account);
        let first = core::mem::replace(&mut self.slots[bucket].bucket, taken);
        let slot = &mut self.slots[taken as usize];
        slot.account = account;
        slot.next = first;
        taken
    }

    /// Gives the slot back when it pays for nothing any more.
    pub(super) fn release(&mut self, payer: u32) {
        let Payer {
            account,
            weight,
            next,
            ..
        } = self.slots[payer as usize];
        if payer == OTHERS || weight > 0 {
            return;
        }
        let bucket = self.bucket(account);
        if self.slots[bucket].bucket == payer {
            self.slots[bucket].bucket = next;
        } else {
            let mut at = self.slots[bucket].bucket;
            while at != NONE && self.slots[at as usize].next != payer {
                at = self.slots[at as usize].next;
            }
            if at != NONE {
                self.slots[at as usize].next = next;
            }
        }
        let slot = &mut self.slots[payer as usize];
        slot.account = AccountId::NONE;
        slot.next = self.free;
        self.free = payer;
    }

    /// Account ids are given by the store, not chosen by strangers: a multiplicative hash does.
    fn bucket(&self, account: AccountId) -> usize {
        let hash = u64::from(account.0.wrapping_mul(0x9E37_79B1));
        ((hash * self.slots.len() as u64) >> 32) as usize
    }
}
