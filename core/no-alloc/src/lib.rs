//! Proof that the whole server links for a microcontroller without an allocator: a static library, because a plain rlib links
//! nothing and so proves nothing. `cargo build -p soqet-no-alloc --target thumbv7m-none-eabi` fails with "no global memory
//! allocator found" as soon as anything below uses `alloc`.
#![cfg_attr(target_os = "none", no_std)]

use soqet_core::config::Config;
use soqet_core::id::{ConnId, Ticket};
use soqet_core::memory::{Memory, Undersized};
use soqet_core::server::{Full, Link, Sent, Server};
use soqet_core::store::{Effect, Outcome};
use soqet_core::time::Instant;

type S = Server<'static>;

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

#[cfg(target_os = "none")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
