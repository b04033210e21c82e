//! The image for the LM3S6965 evaluation board.
#![no_std]
#![no_main]

use soqet_firmware::boards::lm3s6965evb::Lm3s6965Evb;

#[cortex_m_rt::entry]
fn main() -> ! {
    soqet_firmware::run::<Lm3s6965Evb>()
}
