//! `size`: what an image takes of its board's flash and RAM, and how much stack it used under load.

use soqet_core::config::Config;
use soqet_tests::board::BoardWorld;
use soqet_tests::board::elf::Sizes;
use soqet_tests::world::World;

/// What start-up paints the stack with.
const PAINT: u8 = 0xcc;

/// Prints the sizes of a board's image.
pub fn size(flags: &[&str]) -> Result<(), String> {
    let (name, json) = match *flags {
        ["--board", name] => (name, false),
        ["--board", name, "--json"] | ["--json", "--board", name] => (name, true),
        _ => return Err(super::USAGE.to_owned()),
    };
    let board = super::board(name)?;
    let sizes = Sizes::of(&board.image()?)?;
    let mut world = BoardWorld::new(board);
    world.start(&Config::BOARD);
    load(&mut world);
    let (lowest, end) = sizes.stack;
    let painted = world
        .running()
        .memory(lowest, end)?
        .iter()
        .take_while(|byte| **byte == PAINT)
        .count() as u64;
    let stack = end - lowest - painted;
    let Sizes { flash, ram, .. } = sizes;
    if json {
        println!("{{\"flash\":{flash},\"ram\":{ram},\"stack\":{stack}}}");
    } else {
        println!("flash  {flash:>7} bytes");
        println!("ram    {ram:>7} bytes of variables");
        println!("stack  {stack:>7} bytes at the peak, of {}", end - lowest);
    }
    Ok(())
}

/// People chat a little: they register, log in, join, talk, look each other and their history up, come and go.
fn load(world: &mut dyn World) {
    let mut ann = world.register("ann");
    let mut bob = world.register("bob");
    ann.join("#room");
    bob.join("#room");
    for n in 0..40 {
        ann.say(
            "#room",
            format_args!("the {n}th thing ann says, {}", "x".repeat(n * 9)),
        );
        bob.say("ann", format_args!("the {n}th thing bob says"));
    }
    ann.send("MODE #room +tmb bob!*@*");
    ann.send("TOPIC #room :what the room is about");
    ann.ask("NAMES #room", "366");
    ann.ask("WHO #room", "315");
    ann.ask("WHOIS bob", "318");
    ann.ask("LIST", "323");
    bob.history("LATEST #room * 50");
    bob.history("TARGETS timestamp=2000-01-01T00:00:00.000Z timestamp=2100-01-01T00:00:00.000Z 10");
    let mut again = world.login("bob");
    again.fence();
    world.legacy("ann").fence();
}
