//! How much of the stack was ever used. Start-up paints it, see cortex-m-rt's `paint-stack`.

#[expect(unsafe_code, reason = "symbols of memory.x")]
unsafe extern "C" {
    static _stack_end: u32;
    static _stack_start: u32;
}

/// Lowest address of the stack, and the one past its highest.
pub fn bounds() -> (usize, usize) {
    (
        (&raw const _stack_end).addr(),
        (&raw const _stack_start).addr(),
    )
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
