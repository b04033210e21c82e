//! The real server binary as a world: a process on a free port with a data folder of its own, gone when dropped.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::AsFd;
use rustix::net::{RecvFlags, SendFlags};
use rustix::process::{Pid, Signal, kill_process};
use soqet_core::config::{Config, Rate, Registration};

use crate::world::{Exchange, PATIENCE, Wire, World};

/// The server binary: `SOQET_BIN`, or built by cargo (once a process) into the target folder this test runs from.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match std::env::var_os("SOQET_BIN") {
        Some(path) => PathBuf::from(path),
        None => build(),
    })
}

fn build() -> PathBuf {
    let this = std::env::current_exe().expect("own path");
    // target/<profile>/deps/<test> or target/<profile>/<program>
    let mut profile = this.parent().expect("a folder");
    if profile.ends_with("deps") {
        profile = profile.parent().expect("a folder");
    }
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args(["build", "--quiet", "--package", "soqet", "--bin", "soqet"])
        .arg("--target-dir")
        .arg(profile.parent().expect("a target folder"))
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    assert!(cargo.status().expect("run cargo").success(), "cargo build");
    profile.join("soqet")
}

/// A folder under the system's temporary one, removed when dropped.
pub struct TempDir(PathBuf);

impl TempDir {
    /// Makes one.
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("soqet-test-{}-{count}", std::process::id()));
        fs::create_dir_all(&path).expect("make a temporary folder");
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Default for TempDir {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Opens a connection. `window` bounds its receive buffer, in bytes.
pub fn dial(address: SocketAddr, window: Option<usize>) -> io::Result<Box<dyn Wire>> {
    use rustix::net::{AddressFamily, SocketType, connect, socket, sockopt};
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let fd = socket(family, SocketType::STREAM, None)?;
    if let Some(bytes) = window {
        // Before connecting, or the window is negotiated without it.
        sockopt::set_socket_recv_buffer_size(&fd, bytes)?;
    }
    connect(&fd, &address)?;
    let stream = TcpStream::from(fd);
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    Ok(Box::new(SocketWire(stream)))
}

/// A running `soqet serve`. Killed when dropped.
pub struct Server {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
    /// Where it listens for IRC.
    pub irc: SocketAddr,
}

impl Server {
    /// Starts a command that runs `soqet serve` and waits until it listens; gives what it wrote to standard error when it does not.
    pub fn spawn(mut command: Command, log: &Path) -> Result<Self, String> {
        let errors = File::options()
            .create(true)
            .append(true)
            .open(log)
            .expect("open the log");
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .expect("start soqet");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let mut server = Self {
            child,
            output,
            irc: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        let mut line = String::new();
        loop {
            line.clear();
            if server.output.read_line(&mut line).unwrap_or(0) == 0 {
                let (status, _) = server.wait();
                let log = fs::read_to_string(log).unwrap_or_default();
                return Err(format!("{status}\n{log}"));
            }
            if let Some(irc) = line.strip_prefix("irc: ") {
                server.irc = irc.trim().parse().expect("an address after irc:");
                return Ok(server);
            }
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("signal the server");
    }

    /// Waits until it has ended; gives its status and what else it printed.
    pub fn wait(&mut self) -> (ExitStatus, String) {
        let mut rest = String::new();
        let _ = self.output.read_to_string(&mut rest);
        (self.child.wait().expect("wait for soqet"), rest)
    }

    /// Asks it to stop and waits until it has.
    pub fn stop(&mut self) {
        self.signal(Signal::TERM);
        let (status, _) = self.wait();
        assert!(status.success(), "SIGTERM ends in {status}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A world of one server process after another over one data folder.
#[derive(Default)]
pub struct HostWorld {
    /// The running server.
    pub server: Option<Server>,
    /// Its data folder and configuration file are in here.
    pub folder: TempDir,
}

impl HostWorld {
    /// A world without a server yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The server's data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The server's log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Writes the configuration file without starting anything.
    pub fn configure(&self, config: &Config<'static>) {
        fs::write(self.folder.path().join("soqet.toml"), toml(config)).expect("write soqet.toml");
    }

    /// `soqet serve` over this world's folder.
    pub fn serve(&self) -> Command {
        let mut command = self.soqet();
        command
            .args(["serve", "--irc", "127.0.0.1:0", "--config"])
            .arg(self.folder.path().join("soqet.toml"))
            .arg("--data")
            .arg(self.data());
        command
    }

    /// The binary, without what the caller's environment says about soqet.
    pub fn soqet(&self) -> Command {
        let mut command = Command::new(binary());
        // A panic in the log is told without a page of frames.
        command
            .current_dir(self.folder.path())
            .env("RUST_BACKTRACE", "0");
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("SOQET_") {
                command.env_remove(name);
            }
        }
        command
    }

    /// Starts the server over what is in the folder.
    pub fn resume(&mut self) {
        let log = self.folder.path().join("log");
        match Server::spawn(self.serve(), &log) {
            Ok(server) => self.server = Some(server),
            Err(error) => panic!("soqet serve: {error}"),
        }
    }

    /// The running server.
    pub fn running(&mut self) -> &mut Server {
        self.server.as_mut().expect("the server runs")
    }
}

impl Drop for HostWorld {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let tail = log.lines().rev().take(40).collect::<Vec<_>>();
            eprintln!("the server's log, its last lines:");
            tail.iter().rev().for_each(|line| eprintln!("  {line}"));
        }
    }
}

impl World for HostWorld {
    fn start(&mut self, config: &Config<'static>) {
        self.configure(config);
        self.resume();
    }

    fn start_small(&mut self, config: &Config<'static>) {
        let text = toml(config) + "[memory]\nhistory-mib = 1\n";
        fs::write(self.folder.path().join("soqet.toml"), text).expect("write soqet.toml");
        self.resume();
    }

    fn restart(&mut self) {
        self.running().stop();
        self.resume();
    }

    fn crash(&mut self) {
        // Dropped, a server is killed with SIGKILL.
        self.server = None;
        self.resume();
    }

    fn dial(&mut self, window: Option<usize>) -> io::Result<Box<dyn Wire>> {
        dial(self.running().irc, window)
    }

    fn dial_console(&mut self) -> io::Result<Box<dyn Wire>> {
        let stream = UnixStream::connect(self.data().join("control.sock"))?;
        stream.set_nonblocking(true)?;
        Ok(Box::new(SocketWire(stream)))
    }
}

/// The configuration file that says what the core's configuration says.
pub fn toml(config: &Config<'_>) -> String {
    let rate = |rate: Rate| format!("{{ burst = {}, every-ms = {} }}", rate.burst, rate.every_ms);
    let registration = match config.registration {
        Registration::Open => "\"open\"".to_owned(),
        Registration::Closed => "\"closed\"".to_owned(),
        Registration::Invite(code) => format!("\"invite\"\ninvite-code = {:?}", &*code),
    };
    format!(
        "[server]\nname = {:?}\nnetwork = {:?}\nmotd = {:?}\n\
         [accounts]\nregistration = {registration}\nguests = {}\nraw-passwords = {:?}\niterations = {}\nderive-budget = {}\n\
         [history]\nmessages = {}\nreplay = {}\npage = {}\n\
         [limits]\nrooms-per-account = {}\nbans-per-room = {}\nwatches-per-connection = {}\n\
         connections-per-address = {}\npending-per-connection = {}\n\
         flood = {}\nregister = {}\nlogin = {}\nlogin-per-address = {}\nping-ms = {}\nlogin-ms = {}\n",
        config.server_name,
        config.network,
        config.motd,
        config.guests,
        config.raw_passwords.word(),
        config.iterations,
        config.derive_budget,
        config.history,
        config.replay,
        config.page,
        config.rooms_per_account,
        config.bans_per_room,
        config.watches_per_connection,
        config.connections_per_address,
        config.appends_per_connection,
        rate(config.flood),
        rate(config.register_rate),
        rate(config.login_rate),
        rate(config.login_address_rate),
        config.ping_ms,
        config.login_ms,
    )
}

struct SocketWire<S>(S);

impl<S: AsFd + Send> Wire for SocketWire<S> {
    fn exchange(
        &mut self,
        out: &[u8],
        inbox: &mut Vec<u8>,
        wait: Duration,
    ) -> io::Result<Exchange> {
        let deadline = Instant::now() + wait.min(PATIENCE);
        let mut done = Exchange::default();
        loop {
            let mut block = [0; 16 * 1024];
            match rustix::net::recv(&self.0, &mut block[..], RecvFlags::empty()) {
                Ok((0, _)) => done.closed = true,
                Ok((n, _)) => {
                    inbox.extend_from_slice(&block[..n]);
                    done.received += n;
                }
                Err(rustix::io::Errno::AGAIN) => {}
                Err(rustix::io::Errno::CONNRESET) => done.closed = true,
                Err(error) => return Err(error.into()),
            }
            if !out.is_empty() && !done.closed {
                match rustix::net::send(&self.0, out, SendFlags::NOSIGNAL) {
                    Ok(n) => done.sent = n,
                    Err(rustix::io::Errno::AGAIN) => {}
                    Err(rustix::io::Errno::PIPE | rustix::io::Errno::CONNRESET) => {
                        done.closed = true;
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if done != Exchange::default() || left.is_zero() {
                return Ok(done);
            }
            let mut interest = PollFlags::IN;
            interest.set(PollFlags::OUT, !out.is_empty());
            let timeout = Timespec {
                tv_sec: left.as_secs() as i64,
                tv_nsec: left.subsec_nanos().into(),
            };
            match poll(&mut [PollFd::new(&self.0, interest)], Some(&timeout)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
