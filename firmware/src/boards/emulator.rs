//! What an emulated board is told by the emulator, because it has neither a source of randomness nor a clock: 40 bytes at the end of
//! RAM, put there before each start (`-device loader`). They are the same after a restart by the board itself, so what is made of
//! them also depends on 32 bytes behind them that the board leaves for its next start.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use sha2::{Digest, Sha256};

#[repr(C)]
struct Handover {
    /// From the emulator: randomness.
    seed: [AtomicU32; 8],
    /// From the emulator: Unix milliseconds, low word first.
    unix_ms: [AtomicU32; 2],
    /// From the last start.
    kept: [AtomicU32; 8],
}

#[expect(unsafe_code, reason = "symbols of memory.x")]
unsafe extern "C" {
    static _handover: Handover;
}

fn handover() -> &'static Handover {
    #[expect(
        unsafe_code,
        reason = "memory.x keeps this memory for this alone; whatever is in it is valid"
    )]
    unsafe {
        &_handover
    }
}

/// What a board is told.
pub struct Told {
    /// Randomness, different at every start.
    pub seed: [u8; 32],
    /// Unix milliseconds when the emulator was started.
    pub unix_ms: u64,
}

/// Takes what is there. Panics without randomness: a server whose secrets can be guessed must not run.
pub fn take() -> Told {
    let handover = handover();
    assert!(
        handover.seed.iter().any(|word| word.load(Relaxed) != 0),
        "no randomness: start by cargo xtask firmware run"
    );
    let derive = |purpose: &[u8]| -> [u8; 32] {
        let mut hash = Sha256::new_with_prefix(purpose);
        for word in handover.seed.iter().chain(&handover.kept) {
            hash.update(word.load(Relaxed).to_le_bytes());
        }
        hash.finalize().into()
    };
    let seed = derive(b"this start");
    let next = derive(b"next start");
    for (word, bytes) in handover.kept.iter().zip(next.as_chunks().0) {
        word.store(u32::from_le_bytes(*bytes), Relaxed);
    }
    let [low, high] = &handover.unix_ms;
    Told {
        seed,
        unix_ms: u64::from(low.load(Relaxed)) | u64::from(high.load(Relaxed)) << 32,
    }
}
