//! A host: a smoltcp stack of its own.

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::socket::tcp::{Socket, SocketBuffer};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpAddress, IpCidr, Ipv4Address};

use super::Nic;

/// See the module.
pub struct Station {
    /// Its number on the switch, which its addresses are made of.
    pub number: u16,
    /// Its stack.
    pub iface: Interface,
    /// Its card.
    pub nic: Nic,
    /// Its sockets.
    pub sockets: SocketSet<'static>,
}

/// The IPv4 address of a station.
pub const fn ip_of(number: u16) -> Ipv4Address {
    let [high, low] = number.to_be_bytes();
    Ipv4Address::new(10, 0, high, low)
}

impl Station {
    /// A station that was just switched on. `seed` decides its stack's choices.
    pub fn new(now: u64, number: u16, mut nic: Nic, seed: u64) -> Self {
        let [high, low] = number.to_be_bytes();
        let mac = EthernetAddress([2, 0, 0, 0, high, low]);
        let mut config = Config::new(HardwareAddress::Ethernet(mac));
        config.random_seed = seed;
        let mut iface = Interface::new(config, &mut nic, instant(now));
        iface.update_ip_addrs(|addresses| {
            addresses.clear();
            let _ = addresses.push(IpCidr::new(IpAddress::Ipv4(ip_of(number)), 16));
        });
        Self {
            number,
            iface,
            nic,
            sockets: SocketSet::new(Vec::new()),
        }
    }

    /// Adds a TCP socket with buffers of these sizes.
    pub fn socket(&mut self, receive: usize, send: usize) -> SocketHandle {
        let buffer = |size| SocketBuffer::new(vec![0; size]);
        self.sockets.add(Socket::new(buffer(receive), buffer(send)))
    }

    /// Lets the stack do what there is to do. True when it may have changed a socket.
    pub fn poll(&mut self, now: u64) -> bool {
        let result = self
            .iface
            .poll(instant(now), &mut self.nic, &mut self.sockets);
        result != smoltcp::iface::PollResult::None
    }

    /// When its stack has to be polled, if nothing comes before.
    pub fn poll_at(&mut self, now: u64) -> Option<u64> {
        let at = self.iface.poll_at(instant(now), &self.sockets)?;
        Some(u64::try_from(at.total_millis()).unwrap_or(0).max(now))
    }
}

fn instant(now: u64) -> Instant {
    Instant::from_millis(i64::try_from(now).unwrap_or(i64::MAX))
}
