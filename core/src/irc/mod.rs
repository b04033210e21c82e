//! The IRC protocol as pure functions: lines, tags, capabilities, modes and numbers, without any state of a server.
//! References are modern.ircdocs.horse and the IRCv3 specifications (ircv3.net).

pub mod caps;
pub mod framing;
pub mod isupport;
pub mod mask;
pub mod message;
pub mod mode;
pub mod numeric;
pub mod tags;
pub mod timestamp;
