//! How everything lies on the medium: records in pages. A record never straddles a page, so that after a cut record the next page
//! is where reading goes on.
//!
//! A record is, little-endian: length of the value (16 bits), length of the key (8), flags (8), CRC-32 of these four bytes, the key
//! and the value; then key and value, filled up to a multiple of four.

use crc::{CRC_32_ISO_HDLC, Crc, Digest};

static CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// Bytes before the key.
pub(super) const HEADER: usize = 8;
/// What sectors begin with, in their first record's key; the last byte is the version of the format.
pub(super) const MAGIC: [u8; 8] = *b"soQetFS\x01";

/// The record removes its key.
pub(super) const DELETED: u8 = 1;
/// The record is only valid with the one after it.
pub(super) const MORE: u8 = 2;

/// The first bytes of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Header {
    pub value: u16,
    pub key: u8,
    pub flags: u8,
    pub crc: u32,
}

impl Header {
    /// Of a record with this key and value.
    pub(super) fn new(key: &[u8], value: &[&[u8]], flags: u8) -> Self {
        let length: usize = value.iter().map(|part| part.len()).sum();
        let mut header = Self {
            value: length as u16,
            key: key.len() as u8,
            flags,
            crc: 0,
        };
        let mut digest = header.digest();
        digest.update(key);
        value.iter().for_each(|part| digest.update(part));
        header.crc = digest.finalize();
        header
    }

    /// `None` where nothing is written.
    pub(super) fn read(bytes: [u8; HEADER]) -> Option<Self> {
        let [v0, v1, key, flags, crc @ ..] = bytes;
        (bytes != [0xff; HEADER]).then_some(Self {
            value: u16::from_le_bytes([v0, v1]),
            key,
            flags,
            crc: u32::from_le_bytes(crc),
        })
    }

    pub(super) fn bytes(&self) -> [u8; HEADER] {
        let [v0, v1] = self.value.to_le_bytes();
        let [c0, c1, c2, c3] = self.crc.to_le_bytes();
        [v0, v1, self.key, self.flags, c0, c1, c2, c3]
    }

    /// Bytes of the whole record.
    pub(super) const fn size(&self) -> u32 {
        (HEADER as u32 + self.key as u32 + self.value as u32).next_multiple_of(4)
    }

    /// Begins the checksum, to go on with the key and the value.
    pub(super) fn digest(&self) -> Digest<'static, u32> {
        let mut digest = CRC.digest();
        digest.update(&self.bytes()[..4]);
        digest
    }
}

/// A record that was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Item {
    /// Where it begins.
    pub at: u32,
    pub header: Header,
}

impl Item {
    /// Where its value begins.
    pub(super) const fn value_at(&self) -> u32 {
        self.at + HEADER as u32 + self.header.key as u32
    }

    /// Where the next record may begin.
    pub(super) const fn end(&self) -> u32 {
        self.at + self.header.size()
    }

    pub(super) const fn is_deleted(&self) -> bool {
        self.header.flags & DELETED != 0
    }
}
