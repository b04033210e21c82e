//! Answers who asks the local network for the board's name (multicast DNS, RFC 6762), so that people need no address. Only what
//! that takes: one name, one IPv4 address, no services. It does not probe whether the name is taken (section 8.1): two boards of
//! one name on one network must be given different ones.

use core::net::Ipv4Addr;

use smoltcp::wire::DnsPacket;

/// Where multicast DNS is spoken.
pub const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
/// The port of it, of both ends.
pub const PORT: u16 = 5353;
/// No message written here is longer, in bytes.
pub const LONGEST: usize = 192;

const A: u16 = 1;
const NSEC: u16 = 47;
const AAAA: u16 = 28;
const ANY: u16 = 255;
const INTERNET: u16 = 1;
/// In a question: "answer me alone". In an answer: "forget what others said" (sections 5.4 and 10.2).
const TOP_BIT: u16 = 0x8000;
/// Seconds for which an answer may be remembered (section 10); at most 10 by a resolver that does not speak mDNS (6.7).
const TTL: u32 = 120;
const LEGACY_TTL: u32 = 10;

/// Who an answer goes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum To {
    /// The group.
    Everybody,
    /// Whoever asked.
    Asker,
}

/// The answer to a message from `port`, or `None` when there is nothing to say to it. `host` is the name without `.local`, at most
/// 63 bytes; `out` has [`LONGEST`] bytes. Gives the answer's length.
pub fn answer(
    host: &str,
    address: Ipv4Addr,
    message: &[u8],
    port: u16,
    out: &mut [u8; LONGEST],
) -> Option<(usize, To)> {
    let packet = DnsPacket::new_checked(message).ok()?;
    // The top bit tells answers, the next four the kind of question: only standard ones.
    if u16::from_be_bytes([message[2], message[3]]) & 0xf800 != 0 {
        return None;
    }
    let mut rest = packet.payload();
    let mut wanted = None;
    for _ in 0..packet.question_count() {
        let name = rest;
        rest = after_name(rest)?;
        let (kind, class) = (word(rest, 0)?, word(rest, 2)?);
        rest = &rest[4..];
        let ours = matches!(kind, A | AAAA | ANY)
            && matches!(class & !TOP_BIT, INTERNET | ANY)
            && is_host(&packet, name, host);
        if ours {
            wanted = Some((kind, class));
            break;
        }
    }
    let (kind, class) = wanted?;
    if port != PORT {
        // A resolver that knows nothing of mDNS wants its identifier and its question back.
        let id = packet.transaction_id();
        let length = write(host, address, kind, Some((id, class)), out);
        return Some((length, To::Asker));
    }
    let to = if class & TOP_BIT == 0 {
        To::Everybody
    } else {
        To::Asker
    };
    Some((write(host, address, kind, None, out), to))
}

/// What is said unasked when the board has got its address (section 8.3). Gives its length.
pub fn announcement(host: &str, address: Ipv4Addr, out: &mut [u8; LONGEST]) -> usize {
    write(host, address, A, None, out)
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at + 2)?;
    Some(u16::from_be_bytes([bytes[0], bytes[1]]))
}

/// What follows a name.
fn after_name(mut bytes: &[u8]) -> Option<&[u8]> {
    loop {
        let (&first, rest) = bytes.split_first()?;
        match first {
            0 => return Some(rest),
            1..=0x3f => bytes = rest.get(usize::from(first)..)?,
            0xc0.. => return rest.get(1..),
            _ => return None,
        }
    }
}

fn is_host(packet: &DnsPacket<&[u8]>, name: &[u8], host: &str) -> bool {
    let mut labels = packet.parse_name(name);
    let mut next_is = |wanted: &str| matches!(labels.next(), Some(Ok(label)) if label.eq_ignore_ascii_case(wanted.as_bytes()));
    next_is(host) && next_is("local") && labels.next().is_none()
}

/// Writes messages front to back.
struct Writer<'a> {
    out: &'a mut [u8; LONGEST],
    length: usize,
}

impl Writer<'_> {
    fn bytes(&mut self, bytes: &[u8]) {
        self.out[self.length..self.length + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    fn words(&mut self, words: &[u16]) {
        words
            .iter()
            .for_each(|word| self.bytes(&word.to_be_bytes()));
    }

    fn label(&mut self, label: &str) {
        self.bytes(&[label.len() as u8]);
        self.bytes(label.as_bytes());
    }

    fn name(&mut self, host: &str) {
        self.label(host);
        self.label("local");
        self.bytes(&[0]);
    }
}

/// Writes an answer to a question of `kind`. `legacy` is identifier and class of a question that must be repeated.
fn write(
    host: &str,
    address: Ipv4Addr,
    kind: u16,
    legacy: Option<(u16, u16)>,
    out: &mut [u8; LONGEST],
) -> usize {
    let mut writer = Writer { out, length: 0 };
    let id = legacy.map_or(0, |(id, _)| id);
    let has_address = kind != AAAA;
    // A standard answer with authority: questions, answers, none, further records. Whoever asks for IPv6 is told by an NSEC record
    // that there is only IPv4, and does not wait for more (section 6.1).
    let questions = u16::from(legacy.is_some());
    writer.words(&[id, 0x8400, questions, 1, 0, u16::from(has_address)]);
    if let Some((_, class)) = legacy {
        writer.name(host);
        writer.words(&[kind, class]);
    }
    let (class, ttl) = match legacy {
        None => (INTERNET | TOP_BIT, TTL),
        Some(_) => (INTERNET, LEGACY_TTL),
    };
    // The name in full first, afterwards by a pointer to it.
    let name = writer.length as u16 | 0xc000;
    writer.name(host);
    if has_address {
        writer.words(&[A, class]);
        writer.bytes(&ttl.to_be_bytes());
        writer.words(&[4]);
        writer.bytes(&address.octets());
        writer.words(&[name]);
    }
    writer.words(&[NSEC, class]);
    writer.bytes(&ttl.to_be_bytes());
    // Five bytes: this name is the next; of the first 256 kinds, in one byte, there is number 1.
    writer.words(&[5, name]);
    writer.bytes(&[0, 1, 0x40]);
    writer.length
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);

    fn query(labels: &[&str], kind: u16, class: u16) -> Vec<u8> {
        let mut message = vec![0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in labels {
            message.push(label.len() as u8);
            message.extend_from_slice(label.as_bytes());
        }
        message.push(0);
        message.extend_from_slice(&kind.to_be_bytes());
        message.extend_from_slice(&class.to_be_bytes());
        message
    }

    fn ask(message: &[u8], port: u16) -> Option<(Vec<u8>, To)> {
        let mut out = [0; LONGEST];
        let (length, to) = answer("soqet", HERE, message, port, &mut out)?;
        Some((out[..length].to_vec(), to))
    }

    #[test]
    fn the_name_in_any_case_is_answered_to_everybody() {
        let (answer, to) = ask(&query(&["SoQet", "local"], A, INTERNET), PORT).expect("an answer");
        assert_eq!(to, To::Everybody);
        let expected = b"\0\0\x84\0\0\0\0\x01\0\0\0\x01\x05soqet\x05local\0\0\x01\x80\x01\0\0\0\x78\0\x04\x0a\0\x02\x0f\
            \xc0\x0c\0\x2f\x80\x01\0\0\0\x78\0\x05\xc0\x0c\0\x01\x40";
        assert_eq!(answer, expected);
    }

    #[test]
    fn who_wants_the_answer_alone_gets_it_alone() {
        let (_, to) =
            ask(&query(&["soqet", "local"], ANY, INTERNET | TOP_BIT), PORT).expect("an answer");
        assert_eq!(to, To::Asker);
    }

    #[test]
    fn ipv6_is_denied() {
        let (answer, _) =
            ask(&query(&["soqet", "local"], AAAA, INTERNET), PORT).expect("an answer");
        assert!(answer.ends_with(b"\0\x2f\x80\x01\0\0\0\x78\0\x05\xc0\x0c\0\x01\x40"));
        assert_eq!(answer[7], 1, "one answer, the denial");
    }

    #[test]
    fn a_plain_resolver_gets_its_question_back() {
        let message = query(&["soqet", "local"], A, INTERNET);
        let (answer, to) = ask(&message, 40_000).expect("an answer");
        assert_eq!(to, To::Asker);
        assert_eq!(answer[..2], [0x12, 0x34]);
        assert_eq!(answer[12..message.len()], message[12..]);
    }

    #[test]
    fn a_second_question_that_points_into_the_first_is_found() {
        let mut message = query(&["other", "local"], A, INTERNET);
        message[5] = 2;
        message.extend_from_slice(b"\x05soqet\xc0\x12\0\x01\0\x01");
        assert!(ask(&message, PORT).is_some());
    }

    #[test]
    fn other_names_answers_and_rubbish_are_not_answered() {
        assert!(ask(&query(&["soqet2", "local"], A, INTERNET), PORT).is_none());
        assert!(ask(&query(&["soqet", "local", "lan"], A, INTERNET), PORT).is_none());
        assert!(ask(&query(&["soqet"], A, INTERNET), PORT).is_none());
        assert!(ask(&query(&["soqet", "local"], 16, INTERNET), PORT).is_none());
        let whole = query(&["soqet", "local"], A, INTERNET);
        for end in 0..whole.len() {
            assert!(ask(&whole[..end], PORT).is_none(), "cut at {end}");
        }
        let mut reply = whole.clone();
        reply[2] = 0x84;
        assert!(ask(&reply, PORT).is_none());
        let mut looped = whole[..12].to_vec();
        looped.extend_from_slice(b"\xc0\x0c\0\x01\0\x01");
        assert!(ask(&looped, PORT).is_none());
    }

    #[test]
    fn the_longest_name_fits() {
        let host = "x".repeat(63);
        let message = query(&[&host, "local"], A, INTERNET);
        let mut out = [0; LONGEST];
        for port in [PORT, 1] {
            assert!(answer(&host, HERE, &message, port, &mut out).is_some());
        }
    }
}
