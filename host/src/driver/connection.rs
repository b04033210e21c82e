//! What the driver does with one connection: read, write, pause, resume, close.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::task::{Context, Poll, Waker};

use async_io::Async;
use socket2::Socket;
use soqet_core::id::ConnId;
use soqet_core::server::Sent;
use soqet_core::time::Instant;
use tracing::debug;

use super::{Driver, READS, listen};

/// Renderings of one connection in a row before others have their turn.
const TURN: usize = 4;

/// What a peer means by ending its stream.
const QUIT: &[u8] = b"QUIT :Connection closed\r\n";

/// A connection's socket. Small, because there may be a hundred thousand.
#[derive(Debug)]
pub(super) struct Connection {
    id: ConnId,
    socket: Async<Socket>,
    waker: Waker,
    /// Input that the core has not taken yet; empty, and without memory, unless paused.
    leftover: Vec<u8>,
    /// Waits until the core wants input again.
    paused: bool,
    /// The last line received has no end yet.
    partial: bool,
    /// The peer sends no more.
    ended: bool,
    /// Waits until the socket has room.
    blocked: bool,
}

impl Connection {
    /// Of a non-blocking socket.
    pub(super) fn new(id: ConnId, socket: Socket, waker: Waker) -> io::Result<Self> {
        Ok(Self {
            id,
            socket: Async::new_nonblocking(socket)?,
            waker,
            leftover: Vec::new(),
            paused: false,
            partial: false,
            ended: false,
            blocked: false,
        })
    }

    /// Keeps what the core did not take, and reads no more until it has.
    fn keep(&mut self, rest: &[u8]) {
        self.leftover = rest.to_vec();
        self.paused = true;
    }
}

/// What became of a write.
enum Wrote {
    All,
    /// The socket took so many bytes and no more for now.
    Some(usize),
    Failed(io::Error),
}

impl Driver<'_> {
    /// Looks at the connections that were woken; true when some are left for the next pass.
    pub(super) fn read_woken(&mut self, now: Instant) -> bool {
        self.wakes.take(&mut self.woken);
        for _ in 0..READS {
            let Some(slot) = self.woken.pop_front() else {
                return false;
            };
            let slot = slot as usize;
            self.unblock(slot);
            self.read(slot, now);
        }
        !self.woken.is_empty()
    }

    /// Reads a connection until it has to be waited for.
    fn read(&mut self, slot: usize, now: Instant) {
        for _ in 0..TURN {
            let Some(Some(connection)) = self.connections.get_mut(slot) else {
                return;
            };
            if connection.paused || connection.ended {
                return;
            }
            if !self.server.wants_input(connection.id) {
                connection.paused = true;
                self.paused.push(connection.id);
                return;
            }
            // One-shot interest set anew after each read is level-triggered in effect: an end of stream that comes together with
            // data is seen at the next look, however short the read was.
            match connection
                .socket
                .poll_readable(&mut Context::from_waker(&connection.waker))
            {
                Poll::Pending => return,
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return self.fail(slot, &error),
            }
            match connection.socket.get_ref().read(&mut self.input) {
                Ok(0) if connection.partial => return self.close(slot, "Connection closed"),
                // The peer sends no more, but may still read, and the core may not have come to all of its lines yet. So it leaves the
                // way others do: after them.
                Ok(0) => {
                    connection.ended = true;
                    let taken = self.server.receive(now, connection.id, QUIT);
                    if taken < QUIT.len() {
                        connection.keep(QUIT.get(taken..).unwrap_or_default());
                        self.paused.push(connection.id);
                    }
                    return;
                }
                Ok(n) => {
                    let bytes = self.input.get(..n).unwrap_or_default();
                    connection.partial = !bytes.ends_with(b"\n");
                    let taken = self.server.receive(now, connection.id, bytes);
                    if taken < n {
                        connection.keep(bytes.get(taken..).unwrap_or_default());
                        self.paused.push(connection.id);
                        return;
                    }
                }
                Err(error) if is_transient(&error) => {}
                Err(error) => return self.fail(slot, &error),
            }
        }
        self.woken.extend(u32::try_from(slot));
    }

    /// Offers paused connections' input again; true when something was taken, so that the core may have work.
    pub(super) fn resume(&mut self, now: Instant) -> bool {
        let mut progress = false;
        let mut paused = std::mem::take(&mut self.paused);
        paused.retain(|id| {
            let Some(connection) = find(&mut self.connections, *id) else {
                return false;
            };
            if !self.server.wants_input(*id) {
                return true;
            }
            if !connection.leftover.is_empty() {
                let taken = self.server.receive(now, *id, &connection.leftover);
                if taken < connection.leftover.len() {
                    progress |= taken > 0;
                    connection.leftover.drain(..taken);
                    return true;
                }
                connection.leftover = Vec::new();
            }
            progress = true;
            connection.paused = false;
            self.woken.extend(u32::try_from(id.index()));
            false
        });
        self.paused = paused;
        progress
    }

    /// Writes to those who have output, until nobody has or `writes` are used up; true when the core was asked for output, so that
    /// it may have work, and there may be writes left to do.
    pub(super) fn write_ready(&mut self, now: Instant, writes: &mut usize) -> bool {
        let mut asked = false;
        while *writes > 0 {
            // In turn, so that neither long backlogs nor a storm of short lines starves the other.
            self.backlog_next = !self.backlog_next;
            let next = if self.backlog_next {
                self.writing.pop_front().or_else(|| self.server.ready())
            } else {
                self.server.ready().or_else(|| self.writing.pop_front())
            };
            let Some(id) = next else {
                return asked;
            };
            asked = true;
            self.write(id, now, writes);
        }
        false
    }

    fn write(&mut self, id: ConnId, now: Instant, writes: &mut usize) {
        for _ in 0..TURN {
            let Some(connection) = find(&mut self.connections, id) else {
                return;
            };
            let n = match self.server.transmit(now, id, &mut self.output) {
                Sent::Idle => return,
                Sent::Close => return self.finish(id.index()),
                Sent::Bytes(n) => n,
            };
            *writes = writes.saturating_sub(1);
            let bytes = self.output.get(..n).unwrap_or_default();
            match write(connection.socket.get_ref(), bytes) {
                Wrote::All => self.server.sent(now, id, n),
                Wrote::Some(taken) => {
                    self.server.sent(now, id, taken);
                    connection.blocked = true;
                    return self.unblock(id.index());
                }
                Wrote::Failed(error) => {
                    self.server.sent(now, id, 0);
                    return self.fail(id.index(), &error);
                }
            }
        }
        self.writing.push_back(id);
    }

    /// Goes on writing to a connection whose socket has room again, or waits for that.
    fn unblock(&mut self, slot: usize) {
        let Some(Some(connection)) = self.connections.get_mut(slot) else {
            return;
        };
        if !connection.blocked {
            return;
        }
        match connection
            .socket
            .poll_writable(&mut Context::from_waker(&connection.waker))
        {
            Poll::Pending => {}
            // An error shows in the write.
            Poll::Ready(_) => {
                connection.blocked = false;
                self.writing.push_back(connection.id);
            }
        }
    }

    /// The core has said its last line.
    fn finish(&mut self, slot: usize) {
        if let Some(Some(connection)) = self.connections.get(slot) {
            listen::linger(connection.socket.get_ref());
        }
        self.close(slot, "Closed");
    }

    fn fail(&mut self, slot: usize, error: &io::Error) {
        let reason = match error.kind() {
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => "Connection reset",
            ErrorKind::TimedOut => "Connection timed out",
            _ => "Connection failed",
        };
        self.close(slot, reason);
    }

    /// Forgets a connection and closes its socket.
    pub(super) fn close(&mut self, slot: usize, reason: &str) {
        let Some(connection) = self.connections.get_mut(slot).and_then(Option::take) else {
            return;
        };
        self.open -= 1;
        debug!(connection = ?connection.id, reason, "disconnected");
        let now = self.now();
        self.server.close(now, connection.id);
    }
}

/// The connection of that id, unless its slot is another's by now.
fn find(connections: &mut [Option<Connection>], id: ConnId) -> Option<&mut Connection> {
    connections
        .get_mut(id.index())?
        .as_mut()
        .filter(|connection| connection.id == id)
}

fn write(mut socket: &Socket, bytes: &[u8]) -> Wrote {
    loop {
        match socket.write(bytes) {
            Ok(n) if n == bytes.len() => return Wrote::All,
            Ok(n) => return Wrote::Some(n),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Wrote::Some(0),
            Err(error) => return Wrote::Failed(error),
        }
    }
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
