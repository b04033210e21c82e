//! Prints what the tables of a board's server cost: `cargo run -p soqet-core --features small --example memory`.

use soqet_core::memory::{Capacities, bytes, costs};

fn main() {
    let board = Capacities::BOARD;
    let mut costs = costs(&board);
    costs.sort_by_key(|cost| core::cmp::Reverse(cost.each * cost.count));
    println!("| table | bytes each | number | bytes |");
    println!("|---|---:|---:|---:|");
    for cost in costs {
        println!(
            "| {} | {} | {} | {} |",
            cost.table,
            cost.each,
            cost.count,
            cost.each * cost.count
        );
    }
    println!("| together | | | {} |", bytes(&board));
}
