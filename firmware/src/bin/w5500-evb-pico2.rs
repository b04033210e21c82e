//! The image for WIZnet's W5500-EVB-Pico2.
#![no_std]
#![no_main]

use soqet_firmware::boards::w5500_evb_pico2::W5500EvbPico2;

#[cortex_m_rt::entry]
fn main() -> ! {
    soqet_firmware::run::<W5500EvbPico2>()
}
