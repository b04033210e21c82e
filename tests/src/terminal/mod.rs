//! A program in a terminal of its own (tmux): its screen can be waited on, captured and drawn.

mod svg;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Instant;

use crate::world::PATIENCE;

pub use svg::draw;

/// Columns of every terminal.
pub const COLUMNS: usize = 100;
/// Rows of every terminal.
pub const ROWS: usize = 26;

/// A program in a terminal. Ended, with its tmux server, when dropped.
pub struct Terminal {
    socket: String,
    watcher: Child,
    changes: Receiver<()>,
}

impl Terminal {
    /// Starts a shell command in a new terminal. `name` must be unused on this machine.
    pub fn open(name: &str, command: &str) -> Self {
        let socket = format!("soqet-{}-{name}", std::process::id());
        let (columns, rows) = (COLUMNS.to_string(), ROWS.to_string());
        let made = tmux(&socket)
            .args(["-f", "/dev/null", "new-session", "-d", "-s", "main"])
            .args(["-x", &columns, "-y", &rows, command])
            .args([";", "set-option", "-g", "window-size", "manual"])
            .args([";", "set-option", "-g", "status", "off"])
            .args([";", "resize-window", "-x", &columns, "-y", &rows])
            .status();
        assert!(made.expect("run tmux").success(), "tmux new-session");
        // In control mode tmux tells of every output: something to wait on.
        let mut watcher = tmux(&socket)
            .args(["-C", "attach-session", "-t", "main"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("run tmux");
        let told = BufReader::new(watcher.stdout.take().expect("piped"));
        let (tell, changes) = channel();
        std::thread::spawn(move || {
            // Lossy on purpose: only that there was a line counts.
            for _ in told.split(b'\n') {
                if tell.send(()).is_err() {
                    break;
                }
            }
        });
        Self {
            socket,
            watcher,
            changes,
        }
    }

    /// Types a line and Enter.
    pub fn enter(&self, line: &str) {
        let literal = tmux(&self.socket)
            .args(["send-keys", "-t", "main", "-l", line])
            .args([";", "send-keys", "-t", "main", "Enter"])
            .status();
        assert!(literal.expect("run tmux").success(), "tmux send-keys");
    }

    /// What is on the screen, as plain lines.
    pub fn screen(&self) -> String {
        self.capture(&[])
    }

    /// What is on the screen, with colours as escape sequences (ECMA-48 SGR).
    pub fn coloured(&self) -> String {
        // -N keeps the spaces at the end of lines, and with them the bars' colour.
        self.capture(&["-e", "-N"])
    }

    fn capture(&self, flags: &[&str]) -> String {
        let output = tmux(&self.socket)
            .args(["capture-pane", "-p", "-t", "main"])
            .args(flags)
            .output()
            .expect("run tmux");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Waits until the screen meets a condition; gives the screen.
    pub fn wait_until(&self, what: &str, condition: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            while self.changes.try_recv().is_ok() {}
            let screen = self.screen();
            if condition(&screen) {
                return screen;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if let Err(RecvTimeoutError::Timeout) = self.changes.recv_timeout(left) {
                panic!("not on the screen: {what}\n{}", self.screen());
            }
            assert!(!left.is_zero(), "not on the screen: {what}\n{screen}");
        }
    }

    /// Waits until a text is on the screen; gives the screen.
    pub fn wait_for(&self, text: &str) -> String {
        self.wait_until(text, |screen| screen.contains(text))
    }

    /// Waits until the program has ended.
    pub fn wait_end(mut self) {
        self.watcher.wait().expect("wait for tmux");
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = tmux(&self.socket)
            .arg("kill-server")
            .stderr(Stdio::null())
            .status();
        let _ = self.watcher.kill();
        let _ = self.watcher.wait();
    }
}

fn tmux(socket: &str) -> Command {
    let mut command = Command::new("tmux");
    command
        .args(["-u", "-L", socket])
        .env_remove("TMUX")
        .env("TERM", "xterm-256color")
        .env("LC_ALL", "C.UTF-8");
    command
}
