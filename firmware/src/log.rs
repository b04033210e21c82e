//! Logs as defmt frames over the board's serial line: `defmt-print` shows them with the image as dictionary.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicPtr, Ordering};

use defmt::Encoder;

/// Writes bytes to the serial line, waiting until it takes them.
pub type Sink = fn(&[u8]);

fn nowhere(_: &[u8]) {}

static SINK: AtomicPtr<()> = AtomicPtr::new(nowhere as Sink as *mut ());

/// Where logs go from now on.
pub fn start(sink: Sink) {
    SINK.store(sink as *mut (), Ordering::Relaxed);
}

fn write(bytes: &[u8]) {
    let sink = SINK.load(Ordering::Relaxed);
    // Only `Sink`s are ever stored.
    #[expect(
        unsafe_code,
        reason = "a function pointer cannot be stored atomically as itself"
    )]
    let sink: Sink = unsafe { core::mem::transmute(sink) };
    sink(bytes);
}

struct Shared(UnsafeCell<Encoder>);

#[expect(
    unsafe_code,
    reason = "only the main thread logs, and the fault handlers, which never return to it"
)]
unsafe impl Sync for Shared {}

static ENCODER: Shared = Shared(UnsafeCell::new(Encoder::new()));

#[defmt::global_logger]
struct Serial;

#[expect(
    unsafe_code,
    reason = "see `Shared`: nothing interrupts a frame and returns"
)]
unsafe impl defmt::Logger for Serial {
    fn acquire() {
        unsafe { (*ENCODER.0.get()).start_frame(write) };
    }

    unsafe fn flush() {}

    unsafe fn release() {
        unsafe { (*ENCODER.0.get()).end_frame(write) };
    }

    unsafe fn write(bytes: &[u8]) {
        unsafe { (*ENCODER.0.get()).write(bytes, write) };
    }
}
