//! The image for Emcraft's SmartFusion2 kit.
#![no_std]
#![no_main]

use soqet_firmware::boards::emcraft_sf2::EmcraftSf2;

#[cortex_m_rt::entry]
fn main() -> ! {
    soqet_firmware::run::<EmcraftSf2>()
}
