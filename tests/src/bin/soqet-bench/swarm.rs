//! Many client connections on one thread: epoll, one shared read buffer, a callback for each line.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use memchr::memchr;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;

/// How much is read from a socket at once.
const BLOCK: usize = 256 * 1024;

/// One connection.
struct Member {
    stream: TcpStream,
    /// The beginning of a line whose end has not arrived.
    tail: Vec<u8>,
    /// What is to be sent.
    out: Vec<u8>,
    /// Whether it is in `Swarm::blocked`.
    blocked: bool,
    closed: bool,
}

/// Connections, numbered from 0.
pub struct Swarm {
    epoll: OwnedFd,
    members: Vec<Member>,
    block: Vec<u8>,
    events: Vec<epoll::Event>,
    /// Who has something to send that the kernel did not take.
    blocked: Vec<usize>,
}

impl Swarm {
    /// None yet.
    pub fn new() -> Self {
        Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC).expect("make an epoll"),
            members: Vec::new(),
            block: vec![0; BLOCK],
            events: Vec::with_capacity(256),
            blocked: Vec::new(),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// How many the server has closed.
    pub fn closed(&self) -> usize {
        self.members.iter().filter(|m| m.closed).count()
    }

    /// Connects one more; gives its number.
    pub fn connect(&mut self, address: SocketAddr) -> usize {
        let stream = TcpStream::connect(address).expect("connect");
        stream.set_nodelay(true).expect("set TCP_NODELAY");
        stream.set_nonblocking(true).expect("set non-blocking");
        let number = self.members.len();
        let data = epoll::EventData::new_u64(number as u64);
        epoll::add(&self.epoll, &stream, data, epoll::EventFlags::IN).expect("watch a socket");
        self.members.push(Member {
            stream,
            tail: Vec::new(),
            out: Vec::new(),
            blocked: false,
            closed: false,
        });
        number
    }

    /// Stops reading from one: it becomes a member that never reads.
    pub fn deafen(&mut self, number: usize) {
        let stream = &self.members[number].stream;
        epoll::delete(&self.epoll, stream).expect("no longer watch a socket");
    }

    /// Sends, or keeps for when there is room.
    pub fn send(&mut self, number: usize, bytes: &[u8]) {
        self.members[number].out.extend_from_slice(bytes);
        self.flush(number);
    }

    /// Bytes that one has still to send.
    pub fn unsent(&self, number: usize) -> usize {
        self.members[number].out.len()
    }

    fn flush(&mut self, number: usize) {
        let member = &mut self.members[number];
        while !member.out.is_empty() && !member.closed {
            match member.stream.write(&member.out) {
                Ok(n) => {
                    member.out.drain(..n);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => member.closed = true,
            }
        }
        if !member.out.is_empty() && !member.blocked && !member.closed {
            member.blocked = true;
            self.blocked.push(number);
        }
    }

    /// Waits at most so long for something to arrive, and calls back for each line, without its line end, with a buffer for
    /// what the same member is to answer.
    pub fn turn(&mut self, wait: Duration, mut on_line: impl FnMut(usize, &[u8], &mut Vec<u8>)) {
        for number in std::mem::take(&mut self.blocked) {
            self.members[number].blocked = false;
            self.flush(number);
        }
        let wait = if self.blocked.is_empty() {
            wait
        } else {
            wait.min(Duration::from_millis(1))
        };
        let timeout = Timespec {
            tv_sec: wait.as_secs() as i64,
            tv_nsec: wait.subsec_nanos().into(),
        };
        let mut events = std::mem::take(&mut self.events);
        events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("epoll: {error}"),
        }
        for event in &events {
            let number = event.data.u64() as usize;
            self.read(number, &mut on_line);
            if !self.members[number].out.is_empty() {
                self.flush(number);
            }
        }
        self.events = events;
    }

    fn read(&mut self, number: usize, on_line: &mut impl FnMut(usize, &[u8], &mut Vec<u8>)) {
        let member = &mut self.members[number];
        let held = member.tail.len();
        self.block[..held].copy_from_slice(&member.tail);
        let end = match member.stream.read(&mut self.block[held..]) {
            Ok(0) => {
                member.closed = true;
                let _ = epoll::delete(&self.epoll, &member.stream);
                return;
            }
            Ok(n) => held + n,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) =>
            {
                return;
            }
            Err(_) => {
                member.closed = true;
                let _ = epoll::delete(&self.epoll, &member.stream);
                return;
            }
        };
        let mut rest = &self.block[..end];
        while let Some(length) = memchr(b'\n', rest) {
            let line = &rest[..length];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if let Some(token) = line.strip_prefix(b"PING ") {
                member.out.extend_from_slice(b"PONG ");
                member.out.extend_from_slice(token);
                member.out.extend_from_slice(b"\r\n");
            } else {
                on_line(number, line, &mut member.out);
            }
            rest = &rest[length + 1..];
        }
        member.tail.clear();
        member.tail.extend_from_slice(rest);
    }
}
