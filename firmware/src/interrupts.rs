//! The device's part of the vector table: no interrupt is ever taken, see [`clock::sleep`](crate::clock::sleep).

/// Enough for the interrupts that boards wait for; the table cortex-m-rt has otherwise is for 240.
const COUNT: usize = 48;

extern "C" fn unexpected() {
    panic!("an interrupt")
}

#[expect(unsafe_code, reason = "the place and the name that cortex-m-rt wants")]
#[unsafe(link_section = ".vector_table.interrupts")]
#[unsafe(no_mangle)]
static __INTERRUPTS: [extern "C" fn(); COUNT] = [unexpected; COUNT];
