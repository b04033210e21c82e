//! `soqet serve`: brings everything up in the order in which it can fail, says what came of it, and takes it down again.

use std::io::{ErrorKind, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;

use signal_hook::consts::{SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;
use soqet_core::memory::{Capacities, Owned, Undersized};
use soqet_core::server::Server;
use tracing::{info, warn};

use crate::control::{self, Door};
use crate::driver::{Driver, Listener, OPERATORS, Wakes, operator_link};
use crate::failure::Failure;
use crate::files;
use crate::settings::{File, LogFormat, Settings};
use crate::store::{Handle, Sqlite};

/// Serves until a signal says stop.
pub fn run(settings: &Settings) -> Result<(), Failure> {
    info!(version = env!("CARGO_PKG_VERSION"), "starting");
    if let Some(path) = &settings.file_path {
        info!(file = %path.display(), "configuration read");
    }
    if settings.file.has_idle_code() {
        warn!("invite-code counts only with registration = \"invite\"");
    }
    let connections = room_for_clients(settings);
    // First what fails without leaving anything behind.
    let mut listeners = listen(settings)?;
    let new = control::make_folder(&settings.data)?;
    let data = std::path::absolute(&settings.data).unwrap_or_else(|_| settings.data.clone());
    // The lock on the folder, which comes with the database; then the door, which replaces a dead server's.
    let database = open_database(&settings.data)?;
    let (door, knocks) = Door::open(&settings.data)?;
    let addresses: Vec<SocketAddr> = listeners.iter().filter_map(Listener::address).collect();
    listeners.push(Listener::control(knocks).map_err(|error| unwatchable(&error))?);

    let wakes = Arc::new(Wakes::default());
    let changed = database
        .config()
        .map_err(|error| Failure::new(error.to_string()))?;
    let mut config = settings.file.config();
    for (name, value) in &changed {
        config.restore(name, value);
    }
    let store = start_store(database, &wakes)?;
    stop_on_signals(&wakes)?;
    let capacities = settings.file.capacities(connections + OPERATORS);
    let mut memory = Owned::new(&capacities);
    let server = Server::new(config, memory.borrow(), seed()?).map_err(too_small)?;
    let driver = Driver::new(server, &capacities, store, wakes, listeners);

    for address in &addresses {
        info!(%address, "listening for IRC clients");
    }
    greet(settings.log_format, &data, new, &addresses);
    let served = driver.run();
    drop(door);
    served.map_err(|died| {
        Failure::new(format!(
            "{died}\nWhat was acknowledged is stored. Look at the log and at the disk, then start again."
        ))
    })?;
    info!("stopped");
    Ok(())
}

/// Serves the one connection `operator` and nobody else until told to stop.
pub fn run_local(
    file: &File,
    store: Handle,
    wakes: Arc<Wakes>,
    operator: UnixStream,
) -> Result<(), Failure> {
    // One connection needs little of anything.
    let capacities = Capacities {
        lines: 32,
        bodies: 72,
        replies: 32,
        requests: 64,
        appends: 64,
        handshakes: 8,
        throttles: 64,
        pages: 8,
        blocks: 64,
        ..Capacities::for_connections(8)
    };
    let mut memory = Owned::new(&capacities);
    let server = Server::new(file.config(), memory.borrow(), seed()?).map_err(too_small)?;
    let mut driver = Driver::new(server, &capacities, store, wakes, Vec::new());
    driver.adopt(OwnedFd::from(operator).into(), operator_link());
    driver.run().map_err(|died| Failure::new(died.to_string()))
}

/// Opens the database of a data folder and starts the store's threads.
pub fn open_store(data: &Path, wakes: &Arc<Wakes>) -> Result<Handle, Failure> {
    start_store(open_database(data)?, wakes)
}

fn open_database(data: &Path) -> Result<Sqlite, Failure> {
    Sqlite::open(data).map_err(|error| Failure::new(error.to_string()))
}

fn start_store(database: Sqlite, wakes: &Arc<Wakes>) -> Result<Handle, Failure> {
    let wakes = Arc::clone(wakes);
    Handle::start(database, move || wakes.wake()).map_err(|error| {
        Failure::new(format!(
            "the store's threads could not be started: {error}\nIs a limit on processes set (ulimit -u)?"
        ))
    })
}

fn seed() -> Result<[u8; 32], Failure> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)
        .map_err(|error| Failure::new(format!("the system gives no random numbers: {error}")))?;
    Ok(seed)
}

fn too_small(Undersized(table): Undersized) -> Failure {
    Failure::new(format!(
        "the server's memory for {table} is too small to work with\nSet it higher in the section [memory] of the configuration file, or remove the line."
    ))
}

fn unwatchable(error: &std::io::Error) -> Failure {
    Failure::new(format!("a listening socket cannot be watched: {error}"))
}

fn room_for_clients(settings: &Settings) -> usize {
    let wanted = settings.max_connections;
    let connections = files::make_room(wanted);
    if connections < wanted {
        let text = "the system allows few open files, so fewer clients can connect; raise it with `ulimit -n` or LimitNOFILE=";
        if settings.max_connections_is_default {
            info!(connections, wanted, "{text}");
        } else {
            warn!(connections, wanted, "{text}");
        }
    }
    connections
}

fn listen(settings: &Settings) -> Result<Vec<Listener>, Failure> {
    settings
        .irc
        .iter()
        .map(|&address| match Listener::irc(address) {
            // Without IPv6 "every address" is every IPv4 address.
            Err(error) if settings.irc_is_default && is_unsupported(&error) => {
                let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
                Listener::irc(address).map_err(|error| cannot_listen(address, &error))
            }
            other => other.map_err(|error| cannot_listen(address, &error)),
        })
        .collect()
}

fn is_unsupported(error: &std::io::Error) -> bool {
    use rustix::io::Errno;
    error.kind() == ErrorKind::AddrNotAvailable
        || error.raw_os_error() == Some(Errno::AFNOSUPPORT.raw_os_error())
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> Failure {
    let port = address.port();
    let advice = match error.kind() {
        ErrorKind::AddrInUse => format!(
            "Another program listens there already, maybe another soqet. Stop it (`ss -ltnp sport = :{port}` names it), or choose another port with --irc."
        ),
        ErrorKind::PermissionDenied => {
            "Ports below 1024 need special rights. Choose one from 1024 up with --irc.".to_owned()
        }
        ErrorKind::AddrNotAvailable => format!(
            "This computer does not have that address. Choose one it has with --irc, or [::]:{port} for all."
        ),
        _ => "Choose another address with --irc.".to_owned(),
    };
    Failure::new(format!("cannot listen on {address}: {error}\n{advice}"))
}

/// The first SIGTERM or SIGINT asks the driver to stop; a second one ends the process at once, which loses nothing acknowledged.
fn stop_on_signals(wakes: &Arc<Wakes>) -> Result<(), Failure> {
    let failed =
        |error: std::io::Error| Failure::new(format!("signals cannot be handled: {error}"));
    // A file that reaches a limit on sizes is like a full disk: the write fails and clients are told. Its signal must not kill.
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGXFSZ]).map_err(failed)?;
    let wakes = Arc::clone(wakes);
    std::thread::Builder::new()
        .name("soqet-signals".to_owned())
        .spawn(move || {
            for signal in signals.forever() {
                if signal == SIGXFSZ {
                    continue;
                }
                if wakes.is_stopping() {
                    std::process::exit(128 + signal);
                }
                wakes.stop();
            }
        })
        .map_err(failed)?;
    Ok(())
}

/// Tells on standard output where the data is and how to connect. The lines `irc: ADDRESS:PORT` keep their form: programs read them.
fn greet(format: LogFormat, data: &Path, new: bool, addresses: &[SocketAddr]) {
    let text = match format {
        LogFormat::Text => greeting(data, new, addresses),
        LogFormat::Json => format!("{}\n", json_greeting(data, new, addresses)),
    };
    let mut out = std::io::stdout().lock();
    // Nobody may be reading; that is no reason not to serve.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// The same for who wants JSON: one object in one line.
fn json_greeting(data: &Path, new: bool, addresses: &[SocketAddr]) -> serde_json::Value {
    serde_json::json!({
        "version": env!("CARGO_PKG_VERSION"),
        "data": data.to_string_lossy(),
        "new": new,
        "irc": addresses,
    })
}

fn greeting(data: &Path, new: bool, addresses: &[SocketAddr]) -> String {
    let mut text = format!(
        "soQet {} {} {}\n",
        env!("CARGO_PKG_VERSION"),
        if new {
            "keeps its data in the new folder"
        } else {
            "keeps its data in"
        },
        data.display()
    );
    for address in addresses {
        text += &format!("irc: {address}\n");
    }
    if let Some(address) = addresses.first() {
        let (host, port) = (reachable_host(*address), address.port());
        text += &format!(
            "Connect with any IRC client, for example in WeeChat on this computer:\n  \
             /server add soqet {host}/{port} -notls\n  /connect soqet\n"
        );
        if address.ip().is_unspecified() {
            text +=
                "On other computers put this computer's name or address in place of 127.0.0.1.\n";
        }
        text += "Stop with Ctrl-C.\n";
    }
    text
}

/// An address at which a client on this computer reaches the listener.
fn reachable_host(address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        "127.0.0.1".to_owned()
    } else {
        address.ip().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greeting_is_one_json_object_for_who_wants_json() {
        let addresses = [
            "127.0.0.1:6667".parse().unwrap(),
            "[::1]:7".parse().unwrap(),
        ];
        let greeting = json_greeting(Path::new("/da\"ta"), true, &addresses);
        assert_eq!(greeting["data"], "/da\"ta");
        assert_eq!(greeting["new"], true);
        assert_eq!(greeting["irc"][1], "[::1]:7");
        assert!(!greeting.to_string().contains('\n'));
    }

    #[test]
    fn a_taken_port_is_explained() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let error = Listener::irc(address).unwrap_err();
        let text = cannot_listen(address, &error).to_string();
        assert!(
            text.contains(&address.to_string()) && text.contains("--irc"),
            "{text}"
        );
        assert!(text.contains("Another program"), "{text}");
    }

    #[test]
    fn a_foreign_address_is_explained() {
        let address: SocketAddr = "192.0.2.1:0".parse().unwrap();
        let error = Listener::irc(address).unwrap_err();
        let text = cannot_listen(address, &error).to_string();
        assert!(text.contains("does not have that address"), "{text}");
    }
}
