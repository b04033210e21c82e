//! Frames in a file that Wireshark opens (the classic pcap format).

use std::io::{self, Write};

/// Link type of Ethernet.
const ETHERNET: u32 = 1;

/// Writes frames with the milliseconds at which they were sent.
///
/// # Errors
/// Those of the writer.
pub fn write(out: &mut impl Write, frames: &[(u64, Vec<u8>)]) -> io::Result<()> {
    out.write_all(&0xa1b2_c3d4_u32.to_le_bytes())?;
    out.write_all(&[2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0])?;
    out.write_all(&65_535_u32.to_le_bytes())?;
    out.write_all(&ETHERNET.to_le_bytes())?;
    for (at, frame) in frames {
        let micros = at % 1000 * 1000;
        for number in [at / 1000, micros, frame.len() as u64, frame.len() as u64] {
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            out.write_all(&number.to_le_bytes())?;
        }
        out.write_all(frame)?;
    }
    Ok(())
}
