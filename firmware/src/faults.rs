//! What goes wrong is logged, and the board starts again: a server that nobody watches must come back by itself.

use core::panic::PanicInfo;

use cortex_m::peripheral::{SCB, scb};

use crate::stack;

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    cortex_m::interrupt::disable();
    let (file, line) = info
        .location()
        .map_or(("?", 0), |place| (place.file(), place.line()));
    // The message's text only where it needs no formatting: that machinery would cost some 10 KiB.
    let text = info.message().as_str().unwrap_or("");
    defmt::error!(
        "panic at {=str}:{=u32} {=str}; starting again",
        file,
        line,
        text
    );
    // Not in a loop at full speed, if it happens at every start.
    cortex_m::asm::delay(50_000_000);
    SCB::sys_reset()
}

#[expect(unsafe_code, reason = "an exception entry that cannot use the stack")]
mod entry {
    /// A fault, perhaps of the stack itself: begin with a fresh one, then tell.
    #[unsafe(naked)]
    #[unsafe(no_mangle)]
    unsafe extern "C" fn HardFault() -> ! {
        core::arch::naked_asm!(
            "mrs r0, msp",
            "ldr r1, =_stack_start",
            "msr msp, r1",
            "b {tell}",
            tell = sym super::hard_fault,
        )
    }
}

extern "C" fn hard_fault(stack_pointer: usize) -> ! {
    #[expect(unsafe_code, reason = "the status registers are only read")]
    let scb: &scb::RegisterBlock = unsafe { &*SCB::PTR };
    let status = scb.cfsr.read();
    // The frame the exception pushes has 32 bytes.
    if stack_pointer < stack::bounds().0 + 32 {
        defmt::error!("stack overflow, status {=u32:#x}; starting again", status);
    } else {
        #[expect(
            unsafe_code,
            reason = "the exception's frame is on the stack: its seventh word is the address"
        )]
        let at = unsafe { core::ptr::read_volatile((stack_pointer + 24) as *const u32) };
        defmt::error!(
            "fault at {=u32:#x}, status {=u32:#x}, address {=u32:#x}; starting again",
            at,
            status,
            scb.bfar.read()
        );
    }
    SCB::sys_reset()
}
