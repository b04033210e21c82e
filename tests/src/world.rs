//! The interface between scenarios and the place a server runs in: a process on this computer, a simulation, an emulated board.

use std::io;
use std::time::Duration;

use soqet_core::config::Config;

use crate::client::Client;

/// How long a client waits for what must come, in the world's own time. Long, because nothing waits for it in vain: a
/// scenario that passes never does.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A place where a server runs, with its store. Implementations stop the server when they are dropped.
pub trait World {
    /// Starts a server with an empty store.
    fn start(&mut self, config: &Config<'static>);

    /// The same with so little memory for history that a few thousand messages push older ones out of it.
    fn start_small(&mut self, config: &Config<'static>);

    /// Stops the server in order and starts it again over the same store.
    fn restart(&mut self);

    /// Ends the server without warning (kill -9, power cut) and starts it again over the same store.
    fn crash(&mut self);

    /// Opens a connection as IRC clients do. `window` bounds the receive buffer, in bytes, of one that means to read slowly.
    fn dial(&mut self, window: Option<usize>) -> io::Result<Box<dyn Wire>>;

    /// Opens the connection of the machine's operator, who need not log in and may use `ACCOUNT`.
    fn dial_console(&mut self) -> io::Result<Box<dyn Wire>>;
}

impl dyn World + '_ {
    /// A connected client that has said nothing yet. The name shows in transcripts.
    pub fn connect(&mut self, name: &str) -> Client {
        Client::new(name, self.dial(None).expect("connect"))
    }

    /// The operator's connection.
    pub fn console(&mut self) -> Client {
        Client::new(
            "console",
            self.dial_console().expect("connect to the console"),
        )
    }
}

/// A client's end of a connection.
pub trait Wire: Send {
    /// Sends some of `out` and appends what has arrived to `inbox`. Returns as soon as there was progress of either kind,
    /// or after `wait` without. With an empty `out` it only receives.
    fn exchange(&mut self, out: &[u8], inbox: &mut Vec<u8>, wait: Duration)
    -> io::Result<Exchange>;
}

/// What an exchange did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Exchange {
    /// Bytes of `out` taken.
    pub sent: usize,
    /// Bytes appended to `inbox`.
    pub received: usize,
    /// The peer has closed; nothing more will arrive.
    pub closed: bool,
}
