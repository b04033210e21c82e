//! A running QEMU with a board in it.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::Board;
use crate::host::TempDir;
use crate::world::PATIENCE;

/// QEMU's program.
pub const QEMU: &str = "qemu-system-arm";

/// What each line of the monitor ends with, and each answer.
const PROMPT: &str = "(qemu) ";

/// How to start a board.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its image.
    pub image: PathBuf,
    /// The file that is its storage; it must exist.
    pub storage: PathBuf,
    /// What it is connected to.
    pub network: Network,
}

/// What a board is connected to.
#[derive(Clone, Debug)]
pub enum Network {
    /// A network inside QEMU, with DHCP, that this computer reaches through two ports.
    Forwarded {
        /// Where this computer listens for the board's port 6667. Port 0 means any.
        irc: SocketAddrV4,
        /// Where this computer listens for the board's port 80.
        http: SocketAddrV4,
    },
    /// A [`Cable`](super::Cable)'s other end.
    Cable {
        /// The port that QEMU receives frames on.
        board: u16,
        /// The port that it sends frames to.
        peer: u16,
    },
}

impl Network {
    /// Two free ports of this computer.
    pub const LOCAL: Self = Self::Forwarded {
        irc: SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0),
        http: SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0),
    };

    /// QEMU's option for it.
    fn option(&self) -> String {
        match self {
            Self::Forwarded { irc, http } => {
                format!("user,id=net,hostfwd=tcp:{irc}-:6667,hostfwd=tcp:{http}-:80")
            }
            Self::Cable { board, peer } => format!(
                "dgram,id=net,local.type=inet,local.host=127.0.0.1,local.port={board},\
                 remote.type=inet,remote.host=127.0.0.1,remote.port={peer}"
            ),
        }
    }
}

/// A running board. Killed, as by a power cut, when dropped.
pub struct Emulator {
    child: Child,
    monitor: UnixStream,
    errors: Option<JoinHandle<String>>,
    /// What the board must be told is in here.
    folder: TempDir,
    /// Where IRC is.
    pub irc: SocketAddr,
    /// Where HTTP is.
    pub http: SocketAddr,
}

impl Emulator {
    /// Starts a board; it may not answer yet. `log` takes its serial line.
    pub fn start(board: &Board, options: &Options, log: Stdio) -> Result<Self, String> {
        let folder = TempDir::new();
        let handover = folder.path().join("handover");
        tell(&handover).map_err(|error| format!("{}: {error}", handover.display()))?;
        let (monitor, theirs) = UnixStream::pair().map_err(|error| error.to_string())?;
        monitor
            .set_read_timeout(Some(PATIENCE))
            .map_err(|error| error.to_string())?;
        let mut child = Command::new(QEMU)
            .args(["-machine", board.name, "-display", "none"])
            .arg("-kernel")
            .arg(&options.image)
            .args(["-serial", "file:/dev/stdout"])
            .args(["-chardev", "socket,id=monitor,fd=0"])
            .args(["-mon", "chardev=monitor"])
            .args(["-netdev", &options.network.option()])
            .args(["-net", &format!("nic,netdev=net,model={}", board.network)])
            .arg("-drive")
            .arg(format!(
                "if={},format=raw,file={}",
                board.drive,
                path(&options.storage)
            ))
            .arg("-device")
            .arg(format!(
                "loader,force-raw=on,addr={:#x},file={}",
                board.handover,
                path(&handover)
            ))
            .stdin(OwnedFd::from(theirs))
            .stdout(log)
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{QEMU}: {error}"))?;
        let errors = child.stderr.take().map(|mut stderr| {
            std::thread::spawn(move || {
                let mut said = String::new();
                let _ = stderr.read_to_string(&mut said);
                said
            })
        });
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut emulator = Self {
            child,
            monitor,
            errors,
            folder,
            irc: nowhere,
            http: nowhere,
        };
        match emulator.find_ports(&options.network) {
            Ok(()) => Ok(emulator),
            Err(error) => Err(format!("{error}\n{}", emulator.last_words())),
        }
    }

    fn find_ports(&mut self, network: &Network) -> Result<(), String> {
        self.answer().map_err(|error| format!("{QEMU}: {error}"))?;
        let Network::Forwarded { irc, http } = network else {
            return Ok(());
        };
        let said = self
            .ask("info usernet")
            .map_err(|error| format!("{QEMU}: {error}"))?;
        let port_for = |inside: &str| {
            said.lines()
                .map(|line| line.split_ascii_whitespace().collect::<Vec<_>>())
                .find_map(|words| match *words.as_slice() {
                    ["TCP[HOST_FORWARD]", _, _, port, _, to, ..] if to == inside => {
                        port.parse().ok()
                    }
                    _ => None,
                })
                .ok_or(format!("{QEMU} forwards nothing to port {inside}: {said}"))
        };
        self.irc = (*irc.ip(), port_for("6667")?).into();
        self.http = (*http.ip(), port_for("80")?).into();
        Ok(())
    }

    /// Waits until the board answers on its IRC port. Connecting alone says nothing: QEMU accepts while the board still starts.
    pub fn wait_until_it_answers(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.child.try_wait() {
                Ok(None) => {}
                _ => return Err(format!("{QEMU} has ended\n{}", self.last_words())),
            }
            if answers(self.irc).unwrap_or(false) {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err("the board does not answer".to_owned());
            }
        }
    }

    /// What the board writes to its serial line, if that was piped.
    pub fn serial(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// Asks QEMU's monitor.
    pub fn ask(&mut self, command: &str) -> io::Result<String> {
        writeln!(self.monitor, "{command}")?;
        self.answer()
    }

    fn answer(&mut self) -> io::Result<String> {
        let mut answer = Vec::new();
        while !answer.ends_with(PROMPT.as_bytes()) {
            let mut block = [0; 4096];
            match self.monitor.read(&mut block)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => answer.extend_from_slice(&block[..n]),
            }
        }
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// Ends the board at once, wherever it is. QEMU 7.2 tells a board that its NOR flash has written what a thread of QEMU still has to
    /// write to the file, and which would be lost with QEMU. So the board is stopped first, for which QEMU waits for such writes.
    pub fn cut_power(mut self) {
        // When the monitor does not answer, QEMU is ending anyway.
        let _ = self.ask("stop");
    }

    /// Memory of the board, as it is now.
    pub fn memory(&mut self, from: u64, to: u64) -> Result<Vec<u8>, String> {
        let file = self.folder.path().join("memory");
        self.ask(&format!(
            "pmemsave {from:#x} {:#x} \"{}\"",
            to - from,
            file.display()
        ))
        .map_err(|error| format!("{QEMU}: {error}"))?;
        fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))
    }

    /// Waits until QEMU has ended, because somebody interrupted it.
    pub fn wait(&mut self) {
        let _ = self.child.wait();
    }

    /// The processor time it has used so far.
    pub fn processor_time(&self) -> io::Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // After the name in parentheses: user and system time are the 12th and 13th, in hundredths of a second.
        let ticks: u64 = stat
            .rsplit(')')
            .next()
            .into_iter()
            .flat_map(|fields| fields.split_ascii_whitespace().skip(11).take(2))
            .filter_map(|field| field.parse::<u64>().ok())
            .sum();
        Ok(Duration::from_millis(ticks * 10))
    }

    /// Kills QEMU and gives what it complained of.
    fn last_words(&mut self) -> String {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.errors
            .take()
            .and_then(|errors| errors.join().ok())
            .unwrap_or_default()
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.last_words();
    }
}

/// QEMU's options double a comma that is part of a value.
fn path(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

/// Randomness and the time, for a board that has neither.
fn tell(file: &Path) -> io::Result<()> {
    let mut told = [0; 40];
    fs::File::open("/dev/urandom")?.read_exact(&mut told[..32])?;
    let time = SystemTime::now().duration_since(UNIX_EPOCH);
    let unix_ms = time.map_or(0, |time| time.as_millis() as u64);
    told[32..].copy_from_slice(&unix_ms.to_le_bytes());
    fs::write(file, told)
}

/// Whether a server at `irc` says anything to a PING.
fn answers(irc: SocketAddr) -> io::Result<bool> {
    let mut stream = TcpStream::connect(irc)?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(b"PING :start\r\n")?;
    Ok(stream.read(&mut [0; 64])? > 0)
}
