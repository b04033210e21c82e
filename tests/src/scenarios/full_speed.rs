//! Ten senders at full speed lose nothing and disconnect nobody.

use super::CONFIG;
use crate::client::Client;
use crate::world::World;

super::scenarios![ten_senders, one_order_for_all];

const SENDERS: usize = 10;
const EACH: usize = 1_000;

/// Ten members who say a thousand things each, at once; gives what each of them saw, as (sender, number).
fn everybody_talks(world: &mut dyn World) -> Vec<Vec<(usize, usize)>> {
    world.start(&CONFIG);
    let mut people: Vec<Client> = (0..SENDERS)
        .map(|n| world.register(&format!("s{n}")))
        .collect();
    for person in &mut people {
        person.join("#room");
    }
    for person in &mut people {
        person.fence();
    }
    for number in 0..EACH {
        for (n, person) in people.iter_mut().enumerate() {
            person.send(format_args!("PRIVMSG #room :{n} {number}"));
        }
    }
    people
        .iter_mut()
        .map(|person| {
            let mut seen = Vec::new();
            while seen.len() < SENDERS * EACH {
                let line = person.expect_command("PRIVMSG");
                let (sender, number) = line.text().split_once(' ').expect("two numbers");
                let sender: usize = sender.parse().expect("a number");
                assert_eq!(line.nick(), format!("s{sender}"));
                seen.push((sender, number.parse().expect("a number")));
            }
            person.expect_none("more than was said", |l| l.is("PRIVMSG"));
            seen
        })
        .collect()
}

fn ten_senders(world: &mut dyn World) {
    for seen in everybody_talks(world) {
        let mut next = [0; SENDERS];
        for (sender, number) in seen {
            assert_eq!(number, next[sender], "of sender {sender}");
            next[sender] += 1;
        }
        assert_eq!(next, [EACH; SENDERS]);
    }
}

fn one_order_for_all(world: &mut dyn World) {
    let seen = everybody_talks(world);
    for other in &seen[1..] {
        assert!(*other == seen[0], "two members saw different orders");
    }
    // And it is the order of the history.
    let mut late = world.login("s0");
    let mut history = Vec::new();
    let mut page = late.history("LATEST #room * 100");
    while let Some(first) = page.iter().find(|l| l.is("PRIVMSG")).cloned() {
        let said = page.iter().filter(|l| l.is("PRIVMSG")).map(|l| {
            let (sender, number) = l.text().split_once(' ').expect("two numbers");
            (
                sender.parse().expect("a number"),
                number.parse().expect("a number"),
            )
        });
        history.splice(0..0, said.collect::<Vec<(usize, usize)>>());
        let id = first.tag("msgid").expect("a msgid");
        page = late.history(&format!("BEFORE #room msgid={id} 100"));
    }
    // The newest that the server keeps (10,000 entries, the ten joins among them).
    assert!(history.len() >= SENDERS * EACH - 200, "{}", history.len());
    assert!(seen[0].ends_with(&history));
}
