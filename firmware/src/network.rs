//! The interface to the network: its address (from DHCP, or a link-local one when nobody offers any), its name (multicast DNS), and
//! the sockets of the server.

use core::net::Ipv4Addr;

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet, SocketStorage};
use smoltcp::phy::Device;
use smoltcp::socket::{dhcpv4, udp};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpCidr, IpEndpoint, Ipv4Cidr};
use static_cell::{ConstStaticCell, StaticCell};

use crate::mdns;

/// Sockets beside those of the server: DHCP and multicast DNS.
pub const OWN_SOCKETS: usize = 2;
/// Time after which the board gives itself an address, while it goes on asking for one.
const PATIENCE: Duration = Duration::from_secs(4);
/// When the name is announced again, since the first time may be lost.
const ANNOUNCE_AGAIN: Duration = Duration::from_secs(1);
/// Bytes of a question of multicast DNS; longer ones ask for things the board does not have.
const QUESTION: usize = 320;

static QUESTIONS: ConstStaticCell<[u8; QUESTION]> = ConstStaticCell::new([0; QUESTION]);
static ANSWERS: ConstStaticCell<[u8; 2 * mdns::LONGEST]> =
    ConstStaticCell::new([0; 2 * mdns::LONGEST]);
static META: StaticCell<[[udp::PacketMetadata; 2]; 2]> = StaticCell::new();

/// The network as seen by the board.
pub struct Network<D> {
    /// Where frames come from and go to.
    pub device: D,
    /// Its addresses.
    pub interface: Interface,
    /// The sockets, those of the server among them.
    pub sockets: SocketSet<'static>,
    dhcp: SocketHandle,
    mdns: SocketHandle,
    host: &'static str,
    /// When to fall back on a link-local address.
    fall_back_at: Option<Instant>,
    announce_at: Option<Instant>,
}

impl<D: Device> Network<D> {
    /// Brings the interface up. `host` is the name without `.local`; `sockets` has room for [`OWN_SOCKETS`] beside the server's.
    pub fn new(
        mut device: D,
        address: [u8; 6],
        host: &'static str,
        random: u64,
        now: Instant,
        sockets: &'static mut [SocketStorage<'static>],
    ) -> Self {
        let mut config = Config::new(HardwareAddress::Ethernet(EthernetAddress(address)));
        config.random_seed = random;
        let interface = Interface::new(config, &mut device, now);
        let mut sockets = SocketSet::new(sockets);
        let mut dhcp = dhcpv4::Socket::new();
        let mut retries = dhcpv4::RetryConfig::default();
        retries.discover_timeout = Duration::from_secs(2);
        dhcp.set_retry_config(retries);
        let [questions, answers] = META.init_with(|| [[udp::PacketMetadata::EMPTY; 2]; 2]);
        let mut mdns = udp::Socket::new(
            udp::PacketBuffer::new(&mut questions[..], &mut QUESTIONS.take()[..]),
            udp::PacketBuffer::new(&mut answers[..], &mut ANSWERS.take()[..]),
        );
        // The port is not zero, so this cannot fail. RFC 6762, section 11: everything is sent with a hop limit of 255.
        let _ = mdns.bind(mdns::PORT);
        mdns.set_hop_limit(Some(255));
        let dhcp = sockets.add(dhcp);
        let mdns = sockets.add(mdns);
        Self {
            device,
            interface,
            sockets,
            dhcp,
            mdns,
            host,
            fall_back_at: Some(now + PATIENCE),
            announce_at: None,
        }
    }

    /// Looks after address and name, after frames have come. Tells when to call again at the latest.
    pub fn tend(&mut self, now: Instant) -> Option<Instant> {
        self.configure(now);
        self.answer(now);
        [self.fall_back_at, self.announce_at]
            .into_iter()
            .flatten()
            .min()
    }

    fn configure(&mut self, now: Instant) {
        match self.sockets.get_mut::<dhcpv4::Socket<'_>>(self.dhcp).poll() {
            Some(dhcpv4::Event::Configured(offer)) => {
                let (address, router) = (offer.address, offer.router);
                self.fall_back_at = None;
                self.set_address(now, address, router);
            }
            Some(dhcpv4::Event::Deconfigured) => self.fall_back_at = Some(now + PATIENCE),
            None => {}
        }
        if self.fall_back_at.is_some_and(|at| at <= now) {
            self.fall_back_at = None;
            let HardwareAddress::Ethernet(EthernetAddress([.., e, f])) =
                self.interface.hardware_addr();
            // RFC 3927, section 2.1: neither the first nor the last 256 addresses.
            let own = Ipv4Addr::new(169, 254, e.clamp(1, 254), f);
            self.set_address(now, Ipv4Cidr::new(own, 16), None);
        }
    }

    fn set_address(&mut self, now: Instant, address: Ipv4Cidr, router: Option<Ipv4Addr>) {
        self.interface.update_ip_addrs(|addresses| {
            addresses.clear();
            // There is room for one.
            let _ = addresses.push(IpCidr::Ipv4(address));
        });
        let routes = self.interface.routes_mut();
        match router {
            // There is room for one.
            Some(router) => drop(routes.add_default_ipv4_route(router)),
            None => drop(routes.remove_default_ipv4_route()),
        }
        defmt::info!(
            "address {=[u8]}, name {=str}.local",
            address.address().octets(),
            self.host
        );
        // Only now: without an address the group would not be told.
        let _ = self.interface.join_multicast_group(mdns::GROUP);
        self.announce(now);
        self.announce_at = Some(now + ANNOUNCE_AGAIN);
    }

    fn announce(&mut self, _: Instant) {
        let Some(address) = self.interface.ipv4_addr() else {
            return;
        };
        let mut message = [0; mdns::LONGEST];
        let length = mdns::announcement(self.host, address, &mut message);
        let socket = self.sockets.get_mut::<udp::Socket<'_>>(self.mdns);
        // Lost when there is no room: the name can still be asked for.
        let _ = socket.send_slice(&message[..length], (mdns::GROUP, mdns::PORT));
    }

    /// Answers who asks for the name.
    fn answer(&mut self, now: Instant) {
        if self.announce_at.is_some_and(|at| at <= now) {
            self.announce_at = None;
            self.announce(now);
        }
        let Some(address) = self.interface.ipv4_addr() else {
            return;
        };
        let socket = self.sockets.get_mut::<udp::Socket<'_>>(self.mdns);
        let mut message = [0; mdns::LONGEST];
        while socket.can_send() {
            let Ok((question, from)) = socket.recv() else {
                break;
            };
            let asker = from.endpoint;
            let Some((length, to)) =
                mdns::answer(self.host, address, question, asker.port, &mut message)
            else {
                continue;
            };
            let to = match to {
                mdns::To::Everybody => IpEndpoint::from((mdns::GROUP, mdns::PORT)),
                mdns::To::Asker => asker,
            };
            let _ = socket.send_slice(&message[..length], to);
        }
    }
}
