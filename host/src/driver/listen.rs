//! Listening sockets, and what to do when a connection cannot be taken in: say so and close, never spin.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;

use async_io::Async;
use socket2::{Domain, Protocol as Transport, SockAddr, Socket, Type};
use soqet_core::server::{Link, Protocol};

/// Connections that may wait to be accepted; std's own 128 overflows when a whole room reconnects at once.
const BACKLOG: i32 = 4096;

/// What the kernel keeps for a client that does not read (it counts double for its own overhead), and for one that is not read.
/// Bounded, so that a client that never reads cannot tie up megabytes.
const KERNEL_BUFFER: usize = 64 * 1024;

/// A listening socket and what is spoken on its connections.
#[derive(Debug)]
pub struct Listener {
    pub(super) socket: Async<Socket>,
    protocol: Protocol,
    /// More may be waiting than the last pass accepted.
    pub(super) more: bool,
}

impl Listener {
    /// Listens for IRC clients. An IPv6 wildcard takes IPv4 clients too.
    pub fn irc(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Transport::TCP),
        )?;
        socket.set_reuse_address(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(!address.ip().is_unspecified())?;
        }
        // Connections inherit these.
        socket.set_tcp_nodelay(true)?;
        socket.set_send_buffer_size(KERNEL_BUFFER)?;
        socket.set_recv_buffer_size(KERNEL_BUFFER)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Self::new(socket, Protocol::Irc)
    }

    /// Takes connections of this machine's operator.
    pub fn control(listener: UnixListener) -> io::Result<Self> {
        Self::new(Socket::from(OwnedFd::from(listener)), Protocol::Control)
    }

    fn new(socket: Socket, protocol: Protocol) -> io::Result<Self> {
        Ok(Self {
            socket: Async::new(socket)?,
            protocol,
            more: false,
        })
    }

    /// The address it really has, where it has one.
    pub fn address(&self) -> Option<SocketAddr> {
        self.socket.get_ref().local_addr().ok()?.as_socket()
    }

    /// The next connection, if one is waiting.
    pub(super) fn accept(&self) -> io::Result<(Socket, Link)> {
        let (socket, peer) = self.socket.get_ref().accept()?;
        socket.set_nonblocking(true)?;
        Ok((socket, link(self.protocol, &peer)))
    }
}

fn link(protocol: Protocol, peer: &SockAddr) -> Link {
    // A Unix socket has no address, and its peer is on this machine.
    let ip = peer
        .as_socket()
        .map_or(IpAddr::V6(Ipv6Addr::LOCALHOST), |peer| {
            peer.ip().to_canonical()
        });
    Link {
        protocol,
        encrypted: false,
        loopback: ip.is_loopback(),
        address: octets(ip),
    }
}

fn octets(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

/// A link of the operator that needs no listener: the other end is in this process.
pub fn operator_link() -> Link {
    Link {
        protocol: Protocol::Control,
        encrypted: false,
        loopback: true,
        address: octets(IpAddr::V6(Ipv6Addr::LOCALHOST)),
    }
}

/// Tells a peer why it is turned away, as far as that works without waiting, and closes.
pub(super) fn turn_away(socket: &Socket, line: &str) {
    let _ = (&*socket).write(line.as_bytes());
    linger(socket);
}

/// Ends the sending half and reads away what has come in: closing a socket with unread input resets it, and the reset can overtake
/// the last line sent.
pub(super) fn linger(socket: &Socket) {
    const READS: usize = 32;
    let _ = socket.shutdown(std::net::Shutdown::Write);
    let mut buffer = [0; 4096];
    for _ in 0..READS {
        match (&*socket).read(&mut buffer) {
            Ok(n) if n > 0 => {}
            _ => break,
        }
    }
}

/// Whether accepting failed because this process or machine has no file descriptors (or memory for one) left.
pub(super) fn is_exhausted(error: &io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// One file descriptor kept back: given up when there are no others, it lets the next connection be accepted and told so.
#[derive(Debug)]
pub(super) struct Spare(Option<File>);

impl Spare {
    pub(super) fn new() -> Self {
        Self(File::open("/dev/null").ok())
    }

    /// Turns away the next waiting connection. False when even the spare descriptor was gone: wait before trying again.
    pub(super) fn turn_away(&mut self, listener: &Listener, line: &str) -> bool {
        drop(self.0.take());
        let accepted = listener.accept();
        if let Ok((socket, _)) = &accepted {
            turn_away(socket, line);
        }
        let turned_away = accepted.is_ok();
        drop(accepted);
        *self = Self::new();
        turned_away
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_loopback_is_loopback() {
        let peer: SocketAddr = "[::ffff:127.0.0.1]:5".parse().unwrap();
        let link = link(Protocol::Irc, &peer.into());
        assert!(link.loopback);
        assert_eq!(link.address[10..], [255, 255, 127, 0, 0, 1]);
    }

    #[test]
    fn other_addresses_are_not_loopback() {
        for peer in ["192.0.2.1:5", "[2001:db8::1]:5", "[::ffff:192.0.2.1]:5"] {
            let peer: SocketAddr = peer.parse().unwrap();
            assert!(!link(Protocol::Irc, &peer.into()).loopback, "{peer}");
        }
    }

    #[test]
    fn a_free_port_is_told() {
        let listener = Listener::irc("127.0.0.1:0".parse().unwrap()).unwrap();
        assert_ne!(listener.address().unwrap().port(), 0);
        assert_eq!(
            listener.accept().unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
    }
}
