//! The firmware's boards under QEMU. Without QEMU they are skipped, which is said.

use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::time::Instant;

use libtest_mimic::{Arguments, Failed, Trial};
use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::socket::udp;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpCidr};
use soqet_tests::board::emulator::QEMU;
use soqet_tests::board::{BOARDS, Board, BoardWorld, Cable, Emulator, Network, Options};
use soqet_tests::host::TempDir;
use soqet_tests::world::PATIENCE;

/// A test of a board.
type Test = fn(&'static Board);

fn main() {
    let arguments = Arguments::from_args();
    let there_is = Command::new(QEMU).arg("--version").output().is_ok();
    if !there_is {
        println!("skipped without {QEMU}: apt-get install qemu-system-arm");
    }
    let tests: [(&str, Test); 3] = [
        (
            "keeps_what_it_has_said_through_kills",
            keeps_what_it_has_said_through_kills,
        ),
        ("answers", answers),
        (
            "is_found_by_name_without_dhcp",
            is_found_by_name_without_dhcp,
        ),
    ];
    let trials = BOARDS
        .iter()
        .flat_map(|board| tests.map(|(name, test)| (board, name, test)))
        .map(|(board, name, test)| {
            Trial::test(format!("{}::{name}", board.name), move || {
                test(board);
                Ok::<_, Failed>(())
            })
            .with_ignored_flag(!there_is)
        })
        .chain(shared(there_is))
        .collect();
    libtest_mimic::run(&arguments, trials).exit();
}

/// The scenarios of rooms and private chats that the host passes, too.
fn shared(there_is: bool) -> impl Iterator<Item = Trial> {
    BOARDS.iter().flat_map(move |board| {
        soqet_tests::scenarios::all()
            .filter(|scenario| {
                let theme = scenario.name.split("::").next();
                matches!(theme, Some("private" | "rooms"))
            })
            .map(move |scenario| {
                Trial::test(format!("{}::{}", board.name, scenario.name), move || {
                    (scenario.run)(&mut BoardWorld::new(board));
                    Ok::<_, Failed>(())
                })
                .with_ignored_flag(!there_is)
            })
    })
}

/// Starts a board with storage that was never written.
fn start(board: &Board, folder: &TempDir, network: Network) -> Emulator {
    let options = Options {
        image: board.image().expect("an image"),
        storage: folder.path().join("storage"),
        network,
    };
    board.make_storage(&options.storage).expect("storage");
    Emulator::start(board, &options, Stdio::null()).expect("an emulator")
}

fn answers(board: &Board) {
    let folder = TempDir::new();
    let mut emulator = start(board, &folder, Network::LOCAL);
    emulator.wait_until_it_answers().expect("an answer");
}

/// Two people chat, registered and logged in without ever sending a password, while the emulator is killed again and again.
fn keeps_what_it_has_said_through_kills(board: &'static Board) {
    let scenario = soqet_tests::scenarios::all()
        .find(|scenario| scenario.name == "recovery::killed_between_few_messages")
        .expect("the scenario");
    (scenario.run)(&mut BoardWorld::new(board));
}

fn is_found_by_name_without_dhcp(board: &Board) {
    const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
    const PORT: u16 = 5353;
    const OWN: Ipv4Addr = Ipv4Addr::new(169, 254, 0, 1);
    let (mut cable, network) = Cable::new().expect("a cable");
    let folder = TempDir::new();
    let _emulator = start(board, &folder, network);

    let address = EthernetAddress([2, 0, 0, 0, 0, 1]);
    let start = Instant::now();
    let now = || smoltcp::time::Instant::from_micros(start.elapsed().as_micros() as i64);
    let mut interface = Interface::new(
        Config::new(HardwareAddress::Ethernet(address)),
        &mut cable,
        now(),
    );
    interface.update_ip_addrs(|addresses| {
        let own = IpCidr::new(OWN.into(), 16);
        addresses.push(own).expect("room for an address");
    });
    interface.join_multicast_group(GROUP).expect("a group");
    let buffer = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 8], vec![0; 4096]);
    let mut socket = udp::Socket::new(buffer(), buffer());
    socket.bind(PORT).expect("a port");
    let mut sockets = SocketSet::new(Vec::new());
    let handle = sockets.add(socket);

    // The board announces itself when it has given itself an address. We ask for an answer to us alone, which the announcement is not.
    let query = b"\0\0\0\0\0\x01\0\0\0\0\0\0\x05soqet\x05local\0\0\x01\x80\x01";
    loop {
        assert!(start.elapsed() < PATIENCE, "nobody has that name");
        interface.poll(now(), &mut cable, &mut sockets);
        let socket = sockets.get_mut::<udp::Socket<'_>>(handle);
        let mut announced = false;
        while let Ok((message, meta)) = socket.recv() {
            let std::net::IpAddr::V4(board) = meta.endpoint.addr.into() else {
                panic!("IPv6");
            };
            assert_eq!(message[2..4], [0x84, 0], "an answer, with authority");
            assert_eq!(board.octets()[..2], [169, 254], "a link-local address");
            let record = [b"\0\x04", &board.octets()[..]].concat();
            let has_record = message.windows(6).any(|bytes| bytes == record);
            assert!(has_record, "its own address");
            if meta.local_address == Some(OWN.into()) {
                return;
            }
            announced = true;
        }
        if announced {
            socket
                .send_slice(query, (GROUP, PORT))
                .expect("room for a question");
        }
    }
}
