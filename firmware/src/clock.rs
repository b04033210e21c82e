//! Time since the start, from the core's own SysTick, and sleep until a moment or an interrupt. SysTick runs free with its longest
//! period, so that an idle board hardly wakes; only a moment within the running period shortens it.

use core::cell::Cell;

use cortex_m::interrupt::{self, InterruptNumber, Mutex};
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m::peripheral::{NVIC, SCB, SYST};
use cortex_m_rt::exception;

/// SysTick counts 24 bits.
const LONGEST: u32 = 0x00ff_ffff;

/// SysTick's registers. Reads and writes of them are single and have no effect on memory.
fn systick() -> &'static cortex_m::peripheral::syst::RegisterBlock {
    #[expect(
        unsafe_code,
        reason = "the registers are there on every Cortex-M; only this module uses them"
    )]
    unsafe {
        &*SYST::PTR
    }
}

#[derive(Clone, Copy)]
struct Periods {
    /// Ticks before the running period.
    before: u64,
    /// Length of the running period less one, in ticks.
    reload: u32,
    /// Ticks a second.
    hz: u32,
    /// The last time told. An emulated counter stays at zero until the emulator comes round to ending the period: meanwhile time stands
    /// still, as it must not go back.
    told: u64,
}

static PERIODS: Mutex<Cell<Periods>> = Mutex::new(Cell::new(Periods {
    before: 0,
    reload: LONGEST,
    hz: 1_000_000,
    told: 0,
}));

impl Periods {
    /// Ticks since the running period began. It begins when the counter reaches zero.
    fn phase(self) -> u32 {
        match systick().cvr.read() {
            0 => 0,
            left => self.reload + 1 - left,
        }
    }

    /// Ticks since the start.
    fn ticks(&mut self) -> u64 {
        let phase = self.phase();
        let ticks = if SCB::is_pendst_pending() {
            // The period ended and its interrupt waits: read again what may have been read before the end.
            self.before + u64::from(self.reload + 1) + u64::from(self.phase())
        } else {
            self.before + u64::from(phase)
        };
        self.told = self.told.max(ticks);
        self.told
    }

    /// Ends the running period here and begins one of `reload + 1` ticks.
    fn begin(&mut self, reload: u32) {
        self.before = self.ticks();
        self.reload = reload;
        // Writes only change when SysTick counts and interrupts.
        #[expect(unsafe_code, reason = "writes of peripheral registers")]
        unsafe {
            systick().rvr.write(reload);
            systick().cvr.write(0);
        }
        SCB::clear_pendst();
    }
}

/// Starts the clock: `hz` is the frequency of the core or, if `external`, of SysTick's reference clock.
pub fn start(mut systick: SYST, hz: u32, external: bool) {
    systick.set_clock_source(if external {
        SystClkSource::External
    } else {
        SystClkSource::Core
    });
    systick.set_reload(LONGEST);
    systick.clear_current();
    interrupt::free(|cs| {
        let mut periods = PERIODS.borrow(cs).get();
        periods.hz = hz;
        PERIODS.borrow(cs).set(periods);
    });
    systick.enable_interrupt();
    systick.enable_counter();
}

#[exception]
fn SysTick() {
    interrupt::free(|cs| {
        let mut periods = PERIODS.borrow(cs).get();
        periods.before += u64::from(periods.reload + 1);
        if periods.reload != LONGEST {
            periods.begin(LONGEST);
        }
        PERIODS.borrow(cs).set(periods);
    });
}

/// Microseconds since [`start`].
pub fn now() -> u64 {
    let (ticks, hz) = interrupt::free(|cs| {
        let mut periods = PERIODS.borrow(cs).get();
        let ticks = periods.ticks();
        PERIODS.borrow(cs).set(periods);
        (ticks, u64::from(periods.hz))
    });
    ticks / hz * 1_000_000 + ticks % hz * 1_000_000 / hz
}

/// Sleeps until `until` (microseconds since [`start`]), or until the device asserts `interrupt`, whichever is first; at the latest
/// until the end of SysTick's longest period. Returns at once when the device already does: nothing is missed between looking and
/// sleeping. The interrupt's handler never runs: it is enabled for the sleep only, while interrupts are masked. Gives whether the
/// interrupt ended the sleep.
pub fn sleep<I: InterruptNumber>(until: u64, interrupt: I) -> bool {
    interrupt::free(|cs| {
        let mut periods = PERIODS.borrow(cs).get();
        let now = periods.ticks();
        let until = until / 1_000_000 * u64::from(periods.hz)
            + until % 1_000_000 * u64::from(periods.hz) / 1_000_000;
        let Some(left) = until.checked_sub(now).filter(|left| *left > 1) else {
            return false;
        };
        let period_left = u64::from(periods.reload + 1 - periods.phase());
        if left < period_left && !SCB::is_pendst_pending() {
            periods.begin(left as u32 - 1);
            PERIODS.borrow(cs).set(periods);
        }
        #[expect(
            unsafe_code,
            reason = "interrupts are masked, so unmasking one breaks no critical section"
        )]
        unsafe {
            NVIC::unmask(interrupt);
        }
        cortex_m::asm::dsb();
        cortex_m::asm::wfi();
        NVIC::mask(interrupt);
        let ended = NVIC::is_pending(interrupt);
        NVIC::unpend(interrupt);
        ended
    })
}

defmt::timestamp!("{=u64:us}", now());
