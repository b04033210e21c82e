//! How much of RAM is used, and was ever used of the stack. Start-up paints it, see cortex-m-rt's `paint-stack`.

#[expect(unsafe_code, reason = "symbols of memory.x and of cortex-m-rt")]
unsafe extern "C" {
    static _stack_end: u32;
    static _stack_start: u32;
    static _ram_end: u32;
    static __euninit: u32;
}

/// Lowest address of the stack, and the one past its highest.
pub fn bounds() -> (usize, usize) {
    (
        (&raw const _stack_end).addr(),
        (&raw const _stack_start).addr(),
    )
}

/// Bytes of RAM that neither variables nor the stack take.
pub fn ram_left() -> usize {
    (&raw const _ram_end).addr() - (&raw const __euninit).addr()
}

/// Bytes used at the peak so far, and bytes there are.
pub fn usage() -> (usize, usize) {
    let (lowest, end) = bounds();
    let mut painted = lowest;
    while painted < end {
        #[expect(
            unsafe_code,
            reason = "reads of the stack's own memory, below what is in use"
        )]
        let word = unsafe { core::ptr::read_volatile(painted as *const u32) };
        if word != cortex_m_rt::STACK_PAINT_VALUE {
            break;
        }
        painted += 4;
    }
    (end - painted, end - lowest)
}
