//! The board's one task: network, server and storage in turn, and sleep when none has anything to do.

use smoltcp::iface::SocketStorage;
use smoltcp::socket::tcp;
use smoltcp::time::{Duration, Instant};
use static_cell::ConstStaticCell;

use embedded_storage_async::nor_flash::ReadNorFlash;

use crate::boards::Board;
use crate::network::{Network, OWN_SOCKETS};
use crate::stack;

/// The longest sleep: the watchdog is fed in between.
const NAP: Duration = Duration::from_millis(900);

const SOCKETS: usize = 8;
static STORAGE: ConstStaticCell<[SocketStorage<'static>; SOCKETS + OWN_SOCKETS]> =
    ConstStaticCell::new([SocketStorage::EMPTY; SOCKETS + OWN_SOCKETS]);
static TCP: ConstStaticCell<[[u8; 2048]; SOCKETS]> = ConstStaticCell::new([[0; 2048]; SOCKETS]);

/// Serves for ever.
pub fn run<B: Board>() -> ! {
    let (mut board, device, storage) = B::start();
    defmt::info!(
        "soqet {=str} on {=str}, storage {=usize} KiB",
        env!("CARGO_PKG_VERSION"),
        B::NAME,
        storage.capacity() / 1024,
    );
    let seed = board.seed();
    let (random, _) = seed.split_first_chunk().unwrap_or((&[0; 8], &[]));
    let mut network = Network::new(
        device,
        board.hardware_address(),
        "soqet",
        u64::from_le_bytes(*random),
        instant(&board),
        STORAGE.take(),
    );
    let handles = TCP.take().each_mut().map(|buffer| {
        let (receive, send) = buffer.split_at_mut(1024);
        let mut socket = tcp::Socket::new(
            tcp::SocketBuffer::new(receive),
            tcp::SocketBuffer::new(send),
        );
        socket.set_keep_alive(Some(Duration::from_secs(5)));
        let _ = socket.listen(6667);
        network.sockets().add(socket)
    });
    loop {
        board.feed_watchdog();
        let now = instant(&board);
        network.poll(now);
        let mut moved = false;
        for handle in handles {
            let socket = network.sockets().get_mut::<tcp::Socket<'_>>(handle);
            if !socket.is_open() {
                let _ = socket.listen(6667);
            }
            if socket.may_send() && !socket.may_recv() {
                socket.abort();
            }
            while socket.can_send() && socket.can_recv() {
                let mut buffer = [0; 128];
                let room = socket.send_capacity() - socket.send_queue();
                let Ok(n) = socket.recv_slice(&mut buffer[..room.min(128)]) else {
                    break;
                };
                let _ = socket.send_slice(&buffer[..n]);
                moved = true;
            }
        }
        if moved {
            let (used, there_is) = stack::usage();
            defmt::debug!("stack {=usize} of {=usize}", used, there_is);
            continue;
        }
        let now = instant(&board);
        let until = network
            .poll_at(now)
            .map_or(now + NAP, |at| at.min(now + NAP));
        board.sleep(until.total_micros() as u64);
    }
}

fn instant(board: &impl Board) -> Instant {
    Instant::from_micros(board.now() as i64)
}
