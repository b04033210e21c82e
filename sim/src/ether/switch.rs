//! The switch, and the cable of each station with its faults.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use crate::draw::Draw;

/// How a cable behaves. Chances are per thousand frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Weather {
    /// Shortest latency, milliseconds, at least 1.
    pub min_ms: u64,
    /// Longest latency: frames overtake each other as they happen to be drawn.
    pub max_ms: u64,
    /// Lost.
    pub loss: u16,
    /// Comes twice.
    pub double: u16,
    /// Comes up to a second late, after many others.
    pub late: u16,
    /// A bit of it is turned over, or its end is missing.
    pub damage: u16,
    /// Bytes a millisecond in each direction; 0: any number.
    pub bandwidth: u64,
}

impl Weather {
    /// Nothing happens but a millisecond of latency.
    pub const FAIR: Self = Self {
        min_ms: 1,
        max_ms: 1,
        loss: 0,
        double: 0,
        late: 0,
        damage: 0,
        bandwidth: 0,
    };
}

/// The cable of a station.
#[derive(Debug)]
struct Cable {
    weather: Weather,
    /// Nothing passes.
    cut: bool,
    /// When it is free again, from and to the station.
    free_at: [u64; 2],
}

/// A frame on its way: when it arrives, which it was, where to.
type Flight = (u64, u64, u16, Vec<u8>);

/// See the module. Stations are known by their number.
#[derive(Debug)]
pub struct Switch {
    draw: Draw,
    cables: BTreeMap<u16, Cable>,
    flight: BinaryHeap<Reverse<Flight>>,
    count: u64,
}

/// Bytes of the Ethernet header.
const HEADER: usize = 14;

impl Switch {
    /// A switch without cables.
    pub fn new(draw: Draw) -> Self {
        Self {
            draw,
            cables: BTreeMap::new(),
            flight: BinaryHeap::new(),
            count: 0,
        }
    }

    /// Plugs a station in, or changes its weather.
    pub fn plug(&mut self, station: u16, weather: Weather) {
        let cable = self.cables.entry(station).or_insert(Cable {
            weather,
            cut: false,
            free_at: [0; 2],
        });
        cable.weather = weather;
    }

    /// Pulls a station's plug for good: what is on its way to it is lost.
    pub fn unplug(&mut self, station: u16) {
        self.cables.remove(&station);
    }

    /// Cuts a cable, or mends it.
    pub fn cut(&mut self, station: u16, cut: bool) {
        if let Some(cable) = self.cables.get_mut(&station) {
            cable.cut = cut;
        }
    }

    /// A station sends a frame.
    pub fn send(&mut self, now: u64, from: u16, frame: &[u8]) {
        if let [2, 0, 0, 0, high, low, ..] = frame {
            let to = u16::from_be_bytes([*high, *low]);
            return self.pass(now, from, to, frame.to_vec());
        }
        let all = self.cables.keys().copied();
        for to in all.filter(|to| *to != from).collect::<Vec<_>>() {
            self.pass(now, from, to, frame.to_vec());
        }
    }

    fn pass(&mut self, now: u64, from: u16, to: u16, mut frame: Vec<u8>) {
        let mut at = now;
        let mut copies = 1;
        for (station, direction) in [(from, 0), (to, 1)] {
            let draw = &mut self.draw;
            let Some(cable) = self.cables.get_mut(&station) else {
                return;
            };
            let weather = cable.weather;
            if cable.cut || draw.chance(weather.loss) {
                return;
            }
            if draw.chance(weather.damage) && !damage(draw, &mut frame) {
                return;
            }
            copies += usize::from(draw.chance(weather.double));
            if weather.bandwidth > 0 {
                let start = at.max(cable.free_at[direction]);
                at = start + (frame.len() as u64).div_ceil(weather.bandwidth);
                cable.free_at[direction] = at;
            }
            if weather == Weather::FAIR {
                // One's share of a millisecond that both cables have together.
                continue;
            }
            at += draw.between(weather.min_ms, weather.max_ms);
            if draw.chance(weather.late) {
                at += draw.between(1, 1_000);
            }
        }
        at = at.max(now + 1);
        for copy in 0..copies {
            if copy > 0 {
                at += self.draw.between(0, 50);
            }
            self.count += 1;
            self.flight
                .push(Reverse((at, self.count, to, frame.clone())));
        }
    }

    /// When the next frame arrives.
    pub fn next_at(&self) -> Option<u64> {
        self.flight.peek().map(|Reverse((at, ..))| *at)
    }

    /// A frame that has arrived, and at which station.
    pub fn arrived(&mut self, now: u64) -> Option<(u16, Vec<u8>)> {
        while self.next_at().is_some_and(|at| at <= now) {
            let Reverse((_, _, to, frame)) = self.flight.pop()?;
            if self.cables.get(&to).is_some_and(|cable| !cable.cut) {
                return Some((to, frame));
            }
        }
        None
    }
}

/// What passes a checksum of Ethernet is hardly ever damaged, so this is what happens behind it, in a bad chip: checksums of IPv4 and TCP
/// have to find it. False when nothing is left of the frame: what has no checksum of its own would be believed.
fn damage(draw: &mut Draw, frame: &mut Vec<u8>) -> bool {
    if frame.get(12..14) != Some(&[8, 0]) || frame.len() <= HEADER {
        return false;
    }
    if draw.chance(300) {
        frame.truncate(draw.size(0, frame.len() - 1));
        return true;
    }
    let bit = draw.size(HEADER * 8, frame.len() * 8 - 1);
    if let Some(byte) = frame.get_mut(bit / 8) {
        *byte ^= 1 << (bit % 8);
    }
    true
}
