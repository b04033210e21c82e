//! What goes wrong is logged, and the board starts again: a server that nobody watches must come back by itself.

use core::panic::PanicInfo;

use cortex_m::peripheral::{SCB, scb};

use crate::stack;

/// Tells the addresses of the calls that led here, the innermost first (`addr2line -f -e` with the image says where that is). Not the
/// place and the text of `info`: with them the image would keep those of every panic there is, some 37 KB.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    cortex_m::interrupt::disable();
    let (mut frame, mut calls) = (frame_pointer(), [0; 6]);
    for call in &mut calls {
        // A frame begins with the caller's frame pointer and the address to return to. It ends where the stack does.
        let bounds = stack::bounds();
        if frame % 4 != 0 || frame < bounds.0 || frame + 8 > bounds.1 {
            break;
        }
        #[expect(unsafe_code, reason = "reads of the stack's own memory")]
        let (caller, address) = unsafe {
            let words = frame as *const usize;
            (words.read_volatile(), words.add(1).read_volatile())
        };
        (frame, *call) = (caller, address);
    }
    let [a, b, c, d, e, f] = calls;
    defmt::error!(
        "panic, called from {=usize:#x} {=usize:#x} {=usize:#x} {=usize:#x} {=usize:#x} {=usize:#x}; starting again",
        a,
        b,
        c,
        d,
        e,
        f
    );
    // Not in a loop at full speed, if it happens at every start.
    cortex_m::asm::delay(50_000_000);
    SCB::sys_reset()
}

/// Where the frame of the function that asks begins: for this target every function has one.
#[inline(always)]
fn frame_pointer() -> usize {
    let frame;
    #[expect(unsafe_code, reason = "a register is only read")]
    unsafe {
        core::arch::asm!("mov {}, r7", out(reg) frame, options(nomem, nostack, preserves_flags));
    }
    frame
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
    cortex_m::asm::delay(50_000_000);
    SCB::sys_reset()
}
