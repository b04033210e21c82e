//! Proof that the whole server links for a microcontroller without an allocator: a static library, because a plain rlib links
//! nothing and so proves nothing. `cargo build -p soqet-no-alloc --target thumbv7m-none-eabi` fails with "no global memory
//! allocator found" as soon as anything below uses `alloc`.
#![cfg_attr(target_os = "none", no_std)]

use smoltcp::iface::{Interface, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use soqet_core::adapters::smoltcp::{Network, Work};
use soqet_core::config::Config;
use soqet_core::id::{ConnId, Ticket};
use soqet_core::memory::{Memory, Undersized};
use soqet_core::server::{Full, Link, Sent, Server};
use soqet_core::store::{Effect, Outcome};
use soqet_core::time::Instant;

type S = Server<'static>;

// What docs/memory.md promises of a board.
#[cfg(all(target_os = "none", feature = "small"))]
const _: () = soqet_core::memory::fits(&soqet_core::memory::Capacities::BOARD, 38 * 1024);

// Function pointers that must be kept pull the functions in, and with them all they call.
#[used]
static NEW: fn(Config<'static>, Memory<'static>, [u8; 32]) -> Result<S, Undersized> = S::new;
#[used]
static SET_TIME: fn(&mut S, Instant, u64) = S::set_time;
#[used]
static OPEN: fn(&mut S, Instant, Link) -> Result<ConnId, Full> = S::open;
#[used]
static RECEIVE: fn(&mut S, Instant, ConnId, &[u8]) -> usize = S::receive;
#[used]
static TRANSMIT: fn(&mut S, Instant, ConnId, &mut [u8]) -> Sent = S::transmit;
#[used]
static SENT: fn(&mut S, Instant, ConnId, usize) = S::sent;
#[used]
static CLOSE: fn(&mut S, Instant, ConnId) = S::close;
#[used]
static READY: fn(&mut S) -> Option<ConnId> = S::ready;
#[used]
static POLL: for<'s> fn(&'s mut S, Instant) -> Option<Effect<'s>> = S::poll;
#[used]
static COMPLETE: for<'o> fn(&mut S, Instant, Ticket, Outcome<'o>) = S::complete;
#[used]
static POLL_AT: fn(&S) -> Option<Instant> = S::poll_at;
#[used]
static STOP: fn(&mut S, Instant, &str) = S::stop;

#[used]
static STEP: Step = Network::step;

type Step = for<'n, 'i, 'd, 'k, 's, 'w> fn(
    &'n mut Network<'static>,
    Instant,
    &'i mut Interface,
    &'d mut Board,
    &'k mut SocketSet<'static>,
    &'s mut S,
    &'w mut Count,
) -> Option<Instant>;

/// A network of one frame at a time: just enough for the adapter to be there.
pub struct Board {
    inward: [u8; 1514],
    arrived: usize,
    outward: [u8; 1514],
}

/// A frame that came.
pub struct Inward<'a>(&'a [u8]);

/// Room for a frame.
pub struct Outward<'a>(&'a mut [u8]);

impl RxToken for Inward<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

impl TxToken for Outward<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        f(self.0.get_mut(..length).unwrap_or_default())
    }
}

impl Device for Board {
    type RxToken<'a> = Inward<'a>;
    type TxToken<'a> = Outward<'a>;

    fn receive(&mut self, _: smoltcp::time::Instant) -> Option<(Inward<'_>, Outward<'_>)> {
        let frame = self.inward.get(..core::mem::take(&mut self.arrived))?;
        Some((Inward(frame), Outward(&mut self.outward)))
    }

    fn transmit(&mut self, _: smoltcp::time::Instant) -> Option<Outward<'_>> {
        Some(Outward(&mut self.outward))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = self.outward.len();
        capabilities
    }
}

/// A store that only counts.
pub struct Count(u32);

impl Work for Count {
    fn has_room(&self) -> bool {
        self.0 < 1_000
    }

    fn submit(&mut self, _: Instant, _: &Effect<'_>) {
        self.0 += 1;
    }
}

#[cfg(target_os = "none")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
