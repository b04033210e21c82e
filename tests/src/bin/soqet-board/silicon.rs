//! The board that no emulator runs: its image can be built and measured, and put on the board.

use soqet_tests::board::{self, elf::Sizes};

/// Its name, and that of its image and of the firmware's feature that has it.
pub const NAME: &str = "w5500-evb-pico2";
const TARGET: &str = "thumbv8m.main-none-eabihf";

/// Builds the image; measures it, or says how to run it.
pub fn handle(command: &str, flags: &[&str]) -> Result<(), String> {
    let image = || Ok::<_, String>(board::build(NAME, TARGET)?.join(NAME));
    match (command, flags) {
        ("run", ["--board", _, ..]) => Err(how_to_run(&image()?.display().to_string())),
        ("size", ["--board", _]) => {
            let Sizes { flash, ram, .. } = Sizes::of(&image()?)?;
            println!("flash  {flash:>7} bytes");
            println!("ram    {ram:>7} bytes of variables");
            println!(
                "stack  not known: that is measured while the image runs, which no emulator can"
            );
            Ok(())
        }
        ("size", ["--board", _, "--json"] | ["--json", "--board", _]) => {
            let Sizes { flash, ram, .. } = Sizes::of(&image()?)?;
            println!("{{\"flash\":{flash},\"ram\":{ram},\"stack\":null}}");
            Ok(())
        }
        _ => Err(super::USAGE.to_owned()),
    }
}

fn how_to_run(image: &str) -> String {
    format!(
        "\
{NAME} has no emulator, and nobody has told yet that the image runs on the board.
The image is built. To put it on the board, either hold BOOTSEL, plug in USB, and type

  picotool load --verify --execute {image} -t elf

or, with a debug probe, type

  probe-rs download --chip RP235x {image} && probe-rs reset --chip RP235x

The log comes out of pin GP0 at 115200 bits a second; with a serial adapter at /dev/ttyUSB0:

  stty -F /dev/ttyUSB0 115200 raw && defmt-print -e {image} < /dev/ttyUSB0"
    )
}
