//! What happened: a digest of every event, and the last of them in words.

use std::collections::VecDeque;
use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher24};
use smoltcp::wire::{EthernetFrame, PrettyPrinter};

/// Collects events. The digest is the same on every machine and in every profile.
pub struct Trace {
    hash: SipHasher24,
    keep: usize,
    lines: VecDeque<String>,
    events: u64,
    frames: Option<Vec<(u64, Vec<u8>)>>,
}

impl Trace {
    /// Keeps the last `keep` events in words; with 0 none is ever put into words.
    pub fn new(keep: usize) -> Self {
        Self {
            hash: SipHasher24::new(),
            keep,
            lines: VecDeque::new(),
            events: 0,
            frames: None,
        }
    }

    /// Keeps all frames, too.
    pub fn keep_frames(&mut self) {
        self.frames = Some(Vec::new());
    }

    /// Something happened: when, to whom, what kind, and its bytes.
    pub fn note(&mut self, now: u64, kind: &'static str, who: u64, bytes: &[u8]) {
        self.events += 1;
        self.hash.write(&now.to_le_bytes());
        self.hash.write(kind.as_bytes());
        self.hash.write(&who.to_le_bytes());
        self.hash.write(&(bytes.len() as u64).to_le_bytes());
        self.hash.write(bytes);
        if self.keep > 0 {
            let text = String::from_utf8_lossy(bytes);
            self.words(now, format!("{kind} {who} {}", text.escape_debug()));
        }
    }

    /// As [`Self::note`], of a frame on its way.
    pub fn frame(&mut self, now: u64, from: u16, frame: &[u8]) {
        let keep = std::mem::take(&mut self.keep);
        self.note(now, "frame", u64::from(from), frame);
        self.keep = keep;
        if let Some(frames) = &mut self.frames {
            frames.push((now, frame.to_vec()));
        }
        if keep > 0 {
            let frame = PrettyPrinter::<EthernetFrame<&[u8]>>::new("", &frame).to_string();
            let layers: Vec<&str> = frame
                .lines()
                .map(|l| l.trim_start_matches([' ', '\\']))
                .collect();
            self.words(now, format!("frame {from} {}", layers.join("; ")));
        }
    }

    /// Adds an explanation that is no part of the digest.
    pub fn words(&mut self, now: u64, text: String) {
        if self.keep == 0 {
            return;
        }
        if self.lines.len() >= self.keep {
            self.lines.pop_front();
        }
        self.lines.push_back(format!("{now:>8} {text}"));
    }

    /// The digest so far, in hexadecimal.
    pub fn digest(&self) -> String {
        format!("{:032x}", self.hash.finish128().as_u128())
    }

    /// How many events there were.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The last events in words, and the frames with the time of each, as far as they were kept.
    pub fn into_parts(self) -> (Vec<String>, Vec<(u64, Vec<u8>)>) {
        (self.lines.into(), self.frames.unwrap_or_default())
    }
}
