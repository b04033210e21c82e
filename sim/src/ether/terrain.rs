//! What a seed decides about an Ethernet before the world begins.

use super::Weather;
use crate::draw::Draw;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Terrain {
    /// Sockets the server has beyond its connections.
    pub spare: usize,
    /// Receive and send buffer of a socket of the server, bytes.
    pub buffers: (usize, usize),
    /// Storage work the server's store takes at once.
    pub work: usize,
    /// The longest frame, bytes.
    pub mtu: usize,
    /// How often the server's card refuses a frame after each.
    pub slowness: u32,
    /// The worst weather; each cable draws its own up to it.
    pub worst: Weather,
    /// About how often a cable is cut, milliseconds; 0: never.
    pub cut_every_ms: u64,
    /// How long at most.
    pub cut_ms: u64,
    /// About how often somebody does harm, milliseconds; 0: never.
    pub harm_every_ms: u64,
}

impl Terrain {
    /// The terrain of a seed.
    pub fn draw(draw: &mut Draw) -> Self {
        let calm = draw.chance(150);
        let rare = |draw: &mut Draw, most: &[u16]| {
            let most = draw.pick(most).copied().unwrap_or(0);
            if calm {
                0
            } else {
                draw.between(0, u64::from(most)) as u16
            }
        };
        let worst = Weather {
            min_ms: 1,
            max_ms: *draw.pick(&[1, 5, 50, 400]).unwrap_or(&1),
            loss: rare(draw, &[0, 10, 50, 150]),
            double: rare(draw, &[0, 0, 50]),
            late: rare(draw, &[0, 0, 10, 100]),
            damage: rare(draw, &[0, 0, 10, 50]),
            bandwidth: *draw.pick(&[0, 0, 1_250, 125, 12]).unwrap_or(&0),
        };
        Self {
            spare: draw.size(1, 3),
            buffers: (draw.size(256, 2_048), draw.size(128, 4_096)),
            work: draw.size(1, 40),
            mtu: draw.size(590, 1_514),
            slowness: *draw.pick(&[0, 1, 9]).unwrap_or(&0),
            worst,
            cut_every_ms: if calm || draw.chance(500) {
                0
            } else {
                draw.between(500, 30_000)
            },
            harm_every_ms: if calm || draw.chance(700) {
                0
            } else {
                draw.between(1, 2_000)
            },
            cut_ms: *draw.pick(&[200, 2_000, 20_000, 60_000]).unwrap_or(&200),
        }
    }

    /// The weather of one cable.
    pub fn weather(&self, draw: &mut Draw) -> Weather {
        let worst = self.worst;
        let min_ms = draw.between(worst.min_ms, worst.max_ms);
        let mut up_to = |most: u16| draw.between(0, u64::from(most)) as u16;
        Weather {
            loss: up_to(worst.loss),
            double: up_to(worst.double),
            late: up_to(worst.late),
            damage: up_to(worst.damage),
            min_ms,
            max_ms: draw.between(min_ms, worst.max_ms),
            bandwidth: worst.bandwidth,
        }
    }
}
