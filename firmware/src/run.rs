//! The board's one task: network, server and store in turn, and sleep when none of them has anything to do.

use core::pin::{Pin, pin};
use core::task::{Context, Poll, Waker};

use embassy_futures::block_on;
use embedded_storage_async::nor_flash::NorFlash;
use heapless::Vec;
use smoltcp::iface::{SocketSet, SocketStorage};
use smoltcp::socket::tcp;
use soqet_core::adapters::flash::{FlashStore, Job, Opened};
use soqet_core::adapters::smoltcp::{self as adapter, Network as Service, Port, Slot};
use soqet_core::config::Config;
use soqet_core::id::Ticket;
use soqet_core::memory::{self, Capacities};
use soqet_core::server::{Protocol, Server};
use soqet_core::store::{Effect, Outcome};
use soqet_core::text::Text;
use soqet_core::time::Instant;
use static_cell::{ConstStaticCell, StaticCell};

use crate::boards::Board;
use crate::network::{Network, OWN_SOCKETS};
use crate::stack;

/// The longest sleep, milliseconds: the watchdog is fed in between.
const NAP: u64 = 900;
/// The longest sleep while the storage is busy, milliseconds.
const BUSY_NAP: u64 = 1;

/// TCP connections at once, with the one that is told that there is no room.
const SOCKETS: usize = CAPACITIES.connections + 1;
/// Bytes of a connection's buffers, for what comes and for what goes.
const RECEIVE: usize = 448;
const SEND: usize = 448;
/// Fewer than [`Capacities::BOARD`], which do not fit yet.
const CAPACITIES: Capacities = Capacities {
    connections: 10,
    accounts: 12,
    channels: 10,
    members: 64,
    attachments: 64,
    blocks: 4,
    ..Capacities::BOARD
};
const PORTS: &[Port] = &[Port {
    number: 6667,
    protocol: Protocol::Irc,
}];
/// Bytes of a setting's name.
const SETTING_NAME: usize = 32;

type ServerMemory = soqet_core::fixed_memory!(CAPACITIES);
type Buffers = [([u8; RECEIVE], [u8; SEND]); SOCKETS];

static MEMORY: ConstStaticCell<ServerMemory> = ConstStaticCell::new(ServerMemory::new());
static SERVER: StaticCell<Server<'static>> = StaticCell::new();
static BUFFERS: ConstStaticCell<Buffers> =
    ConstStaticCell::new([([0; RECEIVE], [0; SEND]); SOCKETS]);
static STORAGE: ConstStaticCell<Vec<SocketStorage<'static>, { SOCKETS + OWN_SOCKETS }>> =
    ConstStaticCell::new(Vec::new());
static SLOTS: ConstStaticCell<Vec<Slot, SOCKETS>> = ConstStaticCell::new(Vec::new());
/// Where lines are rendered that do not fit into a socket at once.
static SCRATCH: ConstStaticCell<[u8; CAPACITIES.buffer_size]> =
    ConstStaticCell::new([0; CAPACITIES.buffer_size]);
/// The owner's settings: names and texts that the server borrows.
static SETTINGS: ConstStaticCell<[u8; 256]> = ConstStaticCell::new([0; 256]);
/// What the store is doing: the longest entry beside the room to work in, or a page beside what asks for it.
static JOB: StaticCell<Work> = StaticCell::new();
type Work = Job<{ CAPACITIES.page_size + 512 }>;

/// How often the use of the stack is looked at, milliseconds.
const REPORT: u64 = 10_000;

/// Serves for ever.
pub fn run<B: Board>() -> ! {
    let (board, device, storage) = B::start();
    defmt::info!("soqet {=str} on {=str}", env!("CARGO_PKG_VERSION"), B::NAME);
    let mut store: FlashStore<B::Storage> = FlashStore::new(storage);
    let job = JOB.init_with(Job::new);
    let config = open(&mut store, job.scratch());
    let mut front = Front::new(board, device, config);
    serve(&mut front, &mut store, job)
}

/// Apart from [`run`], so that what is needed only to start is not on the stack any more.
#[inline(never)]
fn serve<B: Board>(front: &mut Front<B>, store: &mut FlashStore<B::Storage>, job: &mut Work) -> ! {
    loop {
        let next = front.step(Door(Some(job)));
        if job.is_idle() {
            if !front.wait(pin!(store.tidy())) {
                front.sleep(next);
            }
            continue;
        }
        {
            let work = pin!(job.run(store));
            if let Some((ticket, outcome)) = front.wait(work) {
                front.complete(ticket, outcome);
            }
        }
        job.finish();
    }
}

/// The server's way to the store: shut while that works.
struct Door<'a>(Option<&'a mut Work>);

impl adapter::Work for Door<'_> {
    fn has_room(&self) -> bool {
        self.0.as_ref().is_some_and(|job| job.is_idle())
    }

    fn submit(&mut self, _: Instant, effect: &Effect<'_>) {
        if let Some(job) = &mut self.0 {
            job.take(effect);
        }
    }
}

/// Opens the store, and takes over the settings that are kept in it.
#[inline(never)]
fn open<F: NorFlash>(store: &mut FlashStore<F>, answer: &mut [u8]) -> Config<'static> {
    match block_on(store.open(answer)) {
        Ok(Opened::Formatted) => defmt::info!("the storage was empty"),
        Ok(Opened::Found) => {}
        Err(_) => defmt::panic!("the storage cannot be used"),
    }
    let usage = store.usage();
    defmt::info!(
        "storage: {=u16} of {=u16} sectors of {=u32} KiB free",
        usage.free,
        usage.sectors,
        usage.sector / 1024
    );
    let mut config = Config::BOARD;
    let mut room: &'static mut [u8] = SETTINGS.take();
    let mut last = Text::<SETTING_NAME>::default();
    while let Ok(Some((name, value))) = store.config(&last, answer) {
        let Some(next) = Text::new(name).filter(|_| value.len() <= room.len()) else {
            defmt::warn!("no room for the setting {=str}", name);
            break;
        };
        let (place, rest) = room.split_at_mut(value.len());
        place.copy_from_slice(value.as_bytes());
        room = rest;
        config.restore(name, core::str::from_utf8(place).unwrap_or_default());
        last = next;
    }
    config
}

/// All that serves while the store works.
struct Front<B: Board> {
    board: B,
    network: Network<B::Network>,
    service: Service<'static>,
    server: &'static mut Server<'static>,
    /// When the use of the stack is looked at, and what it was.
    report: (Instant, usize),
}

impl<B: Board> Front<B> {
    #[inline(never)]
    fn new(mut board: B, device: B::Network, config: Config<'static>) -> Self {
        let seed = board.seed();
        let now = Instant(board.now() / 1000);
        let mut network = Network::new(
            device,
            board.hardware_address(),
            host_name(&config),
            u64::from_le_bytes(*seed.first_chunk().unwrap_or(&[0; 8])),
            smoltcp::time::Instant::from_millis(now.0 as i64),
            storage(),
        );
        let scratch = SCRATCH.take();
        let slots = listeners(&mut network.sockets);
        let service = Service::new(slots, PORTS, &mut scratch[..], &mut network.sockets);
        let server = server(config, seed);
        if let Some(unix_ms) = board.unix_ms() {
            server.set_time(now, unix_ms);
        }
        defmt::info!(
            "{=usize} connections, {=usize} channels at a time; tables take {=usize} bytes, {=usize} of RAM are left",
            CAPACITIES.connections,
            CAPACITIES.channels,
            memory::bytes(&CAPACITIES),
            stack::ram_left(),
        );
        Self {
            board,
            network,
            service,
            server,
            report: (now, 0),
        }
    }

    fn now(&self) -> Instant {
        Instant(self.board.now() / 1000)
    }

    /// Does what network and server have to do; tells when to do it again at the latest.
    #[inline(never)]
    fn step(&mut self, mut door: Door<'_>) -> Instant {
        self.board.feed_watchdog();
        let now = self.now();
        let Network {
            device,
            interface,
            sockets,
            ..
        } = &mut self.network;
        let served = self
            .service
            .step(now, interface, device, sockets, self.server, &mut door);
        let time = smoltcp::time::Instant::from_millis(now.0 as i64);
        let tended = self.network.tend(time);
        let tended = tended.map(|at| Instant(at.total_millis() as u64));
        let next = [served, tended].into_iter().flatten().min();
        next.unwrap_or(now + NAP).min(now + NAP)
    }

    /// Serves until the store has done something.
    fn wait<T>(&mut self, mut store: Pin<&mut impl Future<Output = T>>) -> T {
        let mut context = Context::from_waker(Waker::noop());
        loop {
            if let Poll::Ready(done) = store.as_mut().poll(&mut context) {
                return done;
            }
            let now = self.now();
            let next = self.step(Door(None)).min(now + BUSY_NAP);
            self.board.sleep(next.0 * 1000);
        }
    }

    /// Gives the server a store's answer.
    #[inline(never)]
    fn complete(&mut self, ticket: Ticket, outcome: Outcome<'_>) {
        let now = self.now();
        self.server.complete(now, ticket, outcome);
    }

    #[inline(never)]
    fn sleep(&mut self, until: Instant) {
        let (at, peak) = &mut self.report;
        let now = Instant(self.board.now() / 1000);
        if *at <= now {
            *at = now + REPORT;
            let (used, there_is) = stack::usage();
            if used > *peak {
                *peak = used;
                defmt::info!("stack: {=usize} of {=usize} bytes used", used, there_is);
            }
        }
        self.board.sleep(until.0 * 1000);
    }
}

/// Room for all sockets. It is made in place: by way of the stack it would be the most there ever is on it.
#[inline(never)]
fn storage() -> &'static mut [SocketStorage<'static>] {
    let storage = STORAGE.take();
    while storage.push(SocketStorage::EMPTY).is_ok() {}
    storage
}

/// The server's sockets.
#[inline(never)]
fn listeners(sockets: &mut SocketSet<'static>) -> &'static mut [Slot] {
    let slots = SLOTS.take();
    for (receive, send) in BUFFERS.take() {
        let receive = tcp::SocketBuffer::new(&mut receive[..]);
        let send = tcp::SocketBuffer::new(&mut send[..]);
        // There is a slot for each.
        let _ = slots.push(Slot::new(sockets.add(tcp::Socket::new(receive, send))));
    }
    slots
}

/// The server over its memory.
#[inline(never)]
fn server(config: Config<'static>, seed: [u8; 32]) -> &'static mut Server<'static> {
    let memory = MEMORY.take().borrow(&CAPACITIES);
    SERVER.init_with(|| match Server::new(config, memory, seed) {
        Ok(server) => server,
        Err(undersized) => defmt::panic!("{=str}", undersized.0),
    })
}

/// The name on the local network, without `.local`.
fn host_name(config: &Config<'static>) -> &'static str {
    match config.server_name.strip_suffix(".local") {
        Some(host) if !host.contains('.') => host,
        _ => "soqet",
    }
}
