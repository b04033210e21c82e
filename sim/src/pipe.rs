//! One direction of a connection: bytes in flight with latency, cut into pieces anywhere, in a bounded socket buffer.

use std::collections::VecDeque;

use crate::draw::Draw;

/// How a connection's wire behaves.
#[derive(Clone, Copy, Debug)]
pub struct Wire {
    /// Shortest latency, milliseconds.
    pub min_ms: u64,
    /// Longest latency, milliseconds.
    pub max_ms: u64,
    /// Bytes that may be in flight or unread, of the sending and receiving socket together.
    pub capacity: usize,
    /// Longest piece in bytes; longer writes are cut at random places.
    pub piece: usize,
}

/// One direction.
#[derive(Debug)]
pub struct Pipe {
    wire: Wire,
    flight: VecDeque<(u64, Vec<u8>)>,
    arrived: VecDeque<u8>,
    used: usize,
    last_at: u64,
    end_at: Option<u64>,
    ended: bool,
}

impl Pipe {
    /// An empty pipe.
    pub fn new(wire: Wire) -> Self {
        Self {
            wire,
            flight: VecDeque::new(),
            arrived: VecDeque::new(),
            used: 0,
            last_at: 0,
            end_at: None,
            ended: false,
        }
    }

    /// How many bytes it takes now.
    pub fn room(&self) -> usize {
        if self.end_at.is_some() {
            return 0;
        }
        self.wire.capacity.saturating_sub(self.used)
    }

    /// Sends as many of the bytes as there is room for; says how many.
    pub fn write(&mut self, now: u64, draw: &mut Draw, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(self.room());
        let mut rest = bytes.get(..taken).unwrap_or_default();
        while !rest.is_empty() {
            let cut = draw.size(1, self.wire.piece.max(1)).min(rest.len());
            let (piece, after) = rest.split_at(cut);
            let latency = draw.between(self.wire.min_ms, self.wire.max_ms);
            self.last_at = self.last_at.max(now + latency);
            self.flight.push_back((self.last_at, piece.to_vec()));
            rest = after;
        }
        self.used += taken;
        taken
    }

    /// No more is written: the reader sees the end after what is in flight.
    pub fn end(&mut self, now: u64) {
        if self.end_at.is_none() {
            self.end_at = Some(self.last_at.max(now + self.wire.min_ms));
        }
    }

    /// The connection breaks: of what is in flight only some first bytes still arrive, then the end.
    pub fn cut(&mut self, now: u64, draw: &mut Draw) {
        let total: usize = self.flight.iter().map(|(_, piece)| piece.len()).sum();
        let mut left = draw.size(0, total);
        self.used = self.arrived.len();
        self.last_at = now;
        for (at, piece) in &mut self.flight {
            piece.truncate(left);
            left -= piece.len();
            self.used += piece.len();
            if !piece.is_empty() {
                self.last_at = self.last_at.max(*at);
            }
        }
        self.flight.retain(|(_, piece)| !piece.is_empty());
        self.end_at = None;
        self.end(now);
    }

    /// When something arrives next.
    pub fn next_at(&self) -> Option<u64> {
        let end = self.end_at.filter(|_| !self.ended);
        self.flight.front().map(|(at, _)| *at).or(end)
    }

    /// Lets what is due arrive; true when something did.
    pub fn advance(&mut self, now: u64) -> bool {
        let mut moved = false;
        while let Some((at, _)) = self.flight.front()
            && *at <= now
        {
            if let Some((_, piece)) = self.flight.pop_front() {
                self.arrived.extend(piece);
                moved = true;
            }
        }
        if self.flight.is_empty() && !self.ended && self.end_at.is_some_and(|at| at <= now) {
            self.ended = true;
            moved = true;
        }
        moved
    }

    /// What has arrived and is unread, at most `limit` bytes.
    pub fn peek(&mut self, limit: usize) -> &[u8] {
        let arrived = self.arrived.make_contiguous();
        let n = arrived.len().min(limit);
        arrived.get(..n).unwrap_or_default()
    }

    /// The reader took so many bytes.
    pub fn consume(&mut self, n: usize) {
        let n = n.min(self.arrived.len());
        self.arrived.drain(..n);
        self.used -= n;
    }

    /// Bytes that have arrived and are unread.
    pub fn unread(&self) -> usize {
        self.arrived.len()
    }

    /// Whether the reader has all there will ever be.
    pub fn is_finished(&self) -> bool {
        self.ended && self.arrived.is_empty()
    }

    /// Whether nothing is on its way or unread.
    pub fn is_empty(&self) -> bool {
        self.used == 0 && self.end_at.is_none_or(|_| self.ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIRE: Wire = Wire {
        min_ms: 1,
        max_ms: 9,
        capacity: 100,
        piece: 7,
    };

    #[test]
    fn bytes_arrive_in_order_and_the_buffer_is_bounded() {
        let mut draw = Draw::new(1, 1);
        let mut pipe = Pipe::new(WIRE);
        let sent: Vec<u8> = (0..=255).collect();
        assert_eq!(pipe.write(0, &mut draw, &sent), 100);
        assert_eq!(pipe.write(0, &mut draw, &sent), 0);
        pipe.end(0);
        let mut got = Vec::new();
        while let Some(at) = pipe.next_at() {
            pipe.advance(at);
            got.extend_from_slice(pipe.peek(usize::MAX));
            pipe.consume(usize::MAX);
        }
        assert_eq!(got, sent[..100]);
        assert!(pipe.is_finished());
    }

    #[test]
    fn a_cut_leaves_a_prefix() {
        for seed in 0..50 {
            let mut draw = Draw::new(seed, 1);
            let mut pipe = Pipe::new(WIRE);
            let sent: Vec<u8> = (0..90).collect();
            pipe.write(0, &mut draw, &sent);
            pipe.advance(4);
            pipe.cut(4, &mut draw);
            while let Some(at) = pipe.next_at() {
                pipe.advance(at);
            }
            let got = pipe.peek(usize::MAX);
            assert_eq!(got, &sent[..got.len()]);
            assert!(!pipe.is_finished() || pipe.unread() == 0);
        }
    }
}
