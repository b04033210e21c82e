//! Somebody on the same network who means harm: floods, forges, repeats and talks rubbish.

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, IpProtocol, Ipv4Packet, Ipv4Repr, TcpControl,
    TcpPacket, TcpRepr, TcpSeqNumber,
};

use super::super::scene::Scene;
use super::{PORT, SERVER};
use crate::draw::Draw;
use crate::ether::{Station, Switch, ip_of};

/// Bytes of the headers of a frame of Ethernet and IPv4.
const HEADERS: usize = 14 + 20;
/// Frames it remembers.
const CAUGHT: usize = 50;

/// See the module.
pub(super) struct Vandal {
    /// It answers when it is asked for its address, and that is all its stack may say.
    pub station: Station,
    draw: Draw,
    every_ms: u64,
    /// When it strikes next.
    pub next_at: u64,
    /// Frames of others to the server.
    caught: Vec<Vec<u8>>,
}

impl Vandal {
    pub fn new(station: Station, draw: Draw, every_ms: u64) -> Self {
        Self {
            station,
            draw,
            every_ms,
            next_at: every_ms,
            caught: Vec::new(),
        }
    }

    /// Sees a frame that goes to the server.
    pub fn overhear(&mut self, frame: &[u8]) {
        if self.caught.len() < CAUGHT {
            self.caught.push(frame.to_vec());
        } else if self.draw.chance(100)
            && let Some(place) = self.caught.get_mut(self.draw.size(0, CAUGHT - 1))
        {
            *place = frame.to_vec();
        }
    }

    /// A frame came for it.
    pub fn arrived(&mut self, scene: &mut Scene, switch: &mut Switch, frame: Vec<u8>) {
        self.station.nic.arrived.push_back(frame);
        self.station.poll(scene.now);
        for frame in self.station.nic.sent.drain(..) {
            if frame.get(12..14) == Some(&[8, 6]) {
                scene.trace.frame(scene.now, self.station.number, &frame);
                switch.send(scene.now, self.station.number, &frame);
            }
        }
    }

    /// Strikes when it is time.
    pub fn strike(&mut self, scene: &mut Scene, switch: &mut Switch) {
        if self.next_at > scene.now {
            return;
        }
        let every = self.every_ms;
        self.next_at = scene.now + self.draw.between(every / 2 + 1, every * 2);
        let count = self.draw.size(1, 20);
        let kind = self.draw.below(4);
        for _ in 0..count {
            let frame = match kind {
                0 => Some(self.half_open()),
                1 => self.forged_reset(),
                2 => self.draw.pick(&self.caught).cloned(),
                _ => Some(self.rubbish()),
            };
            if let Some(frame) = frame {
                scene.trace.frame(scene.now, self.station.number, &frame);
                switch.send(scene.now, self.station.number, &frame);
            }
        }
    }

    /// The first frame of a connection that goes no further, from itself or from nobody.
    fn half_open(&mut self) -> Vec<u8> {
        let from = if self.draw.chance(700) {
            self.station.number
        } else {
            60_000 + self.draw.below(5_000) as u16
        };
        let repr = TcpRepr {
            src_port: 1_024 + self.draw.below(60_000) as u16,
            dst_port: PORT,
            control: TcpControl::Syn,
            seq_number: TcpSeqNumber(self.draw.below(1 << 31) as i32),
            ack_number: None,
            window_len: 1_000,
            window_scale: None,
            max_seg_size: Some(536),
            sack_permitted: false,
            sack_ranges: [None; 3],
            timestamp: None,
            payload: &[],
        };
        frame(from, &repr)
    }

    /// Breaks off somebody's connection, at the very place where it is.
    fn forged_reset(&mut self) -> Option<Vec<u8>> {
        let caught = self.draw.pick(&self.caught)?;
        let packet = Ipv4Packet::new_checked(caught.get(14..)?).ok()?;
        let [_, _, high, low] = packet.src_addr().octets();
        let segment = TcpPacket::new_checked(packet.payload()).ok()?;
        let mut repr = TcpRepr {
            src_port: segment.src_port(),
            dst_port: segment.dst_port(),
            control: TcpControl::Rst,
            seq_number: segment.seq_number() + segment.payload().len(),
            ack_number: Some(segment.ack_number()),
            window_len: 0,
            window_scale: None,
            max_seg_size: None,
            sack_permitted: false,
            sack_ranges: [None; 3],
            timestamp: None,
            payload: &[],
        };
        if self.draw.chance(500) {
            // Or does not know exactly.
            repr.seq_number += self.draw.size(0, 3_000);
        }
        Some(frame(u16::from_be_bytes([high, low]), &repr))
    }

    /// Random bytes behind as much of a good beginning as is drawn.
    fn rubbish(&mut self) -> Vec<u8> {
        let mut frame = self.half_open();
        let length = self.draw.size(0, 300);
        frame.resize(length, 0);
        let good = self.draw.size(0, length);
        if let Some(rest) = frame.get_mut(good..) {
            self.draw.fill(rest);
        }
        frame
    }
}

/// A segment from a station to the server.
fn frame(from: u16, repr: &TcpRepr<'_>) -> Vec<u8> {
    let [high, low] = from.to_be_bytes();
    let [server_high, server_low] = SERVER.to_be_bytes();
    let mut bytes = vec![0; HEADERS + repr.buffer_len()];
    let mut ethernet = EthernetFrame::new_unchecked(&mut bytes);
    ethernet.set_src_addr(EthernetAddress([2, 0, 0, 0, high, low]));
    ethernet.set_dst_addr(EthernetAddress([2, 0, 0, 0, server_high, server_low]));
    ethernet.set_ethertype(EthernetProtocol::Ipv4);
    let (source, target) = (ip_of(from), ip_of(SERVER));
    let checksums = ChecksumCapabilities::default();
    let mut packet = Ipv4Packet::new_unchecked(ethernet.payload_mut());
    Ipv4Repr {
        src_addr: source,
        dst_addr: target,
        next_header: IpProtocol::Tcp,
        payload_len: repr.buffer_len(),
        hop_limit: 64,
    }
    .emit(&mut packet, &checksums);
    repr.emit(
        &mut TcpPacket::new_unchecked(packet.payload_mut()),
        &source.into(),
        &target.into(),
        &checksums,
    );
    bytes
}
