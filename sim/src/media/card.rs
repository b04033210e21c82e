//! A memory card: whole blocks are written, and one being written when power goes has any content.

use soqet_core::adapters::blocks::{BLOCK, BlockDevice};

use super::{Counts, Power, PowerLost};
use crate::draw::Draw;

/// The card.
#[derive(Clone, Debug)]
pub struct Card {
    blocks: Vec<[u8; BLOCK]>,
    /// What was done to it.
    pub counts: Counts,
    /// Its power.
    pub power: Power,
}

impl Card {
    /// A card with anything on it.
    pub fn new(blocks: usize, mut draw: Draw) -> Self {
        let mut all = vec![[0; BLOCK]; blocks];
        match draw.below(3) {
            0 => {}
            1 => all.iter_mut().for_each(|block| block.fill(0xff)),
            _ => all.iter_mut().for_each(|block| draw.fill(block)),
        }
        Self {
            blocks: all,
            counts: Counts::default(),
            power: Power::new(draw),
        }
    }

    /// What is on it, to be damaged.
    pub fn bytes(&mut self) -> &mut [u8] {
        self.blocks.as_flattened_mut()
    }
}

impl BlockDevice for Card {
    type Error = PowerLost;

    fn blocks(&self) -> u32 {
        self.blocks.len() as u32
    }

    async fn read(&mut self, block: u32, into: &mut [u8; BLOCK]) -> Result<(), PowerLost> {
        self.power.spend(0)?;
        *into = self.blocks[block as usize];
        self.counts.reads += 1;
        self.counts.read_bytes += BLOCK as u64;
        Ok(())
    }

    async fn write(&mut self, block: u32, from: &[u8; BLOCK]) -> Result<(), PowerLost> {
        let place = &mut self.blocks[block as usize];
        if self.power.spend(1)? == 1 {
            *place = *from;
            self.counts.writes += 1;
            self.counts.written_bytes += BLOCK as u64;
            return Ok(());
        }
        let draw = &mut self.power.draw;
        match draw.below(4) {
            0 => {}
            1 => *place = *from,
            2 => {
                let end = draw.size(0, BLOCK);
                place[..end].copy_from_slice(&from[..end]);
            }
            _ => draw.fill(place),
        }
        Err(PowerLost)
    }
}
