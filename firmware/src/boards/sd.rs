//! An SD card in SPI mode (SD Physical Layer Simplified Specification, chapter 7): blocks of 512 bytes, read and written one at a
//! time. Once the card is started, waits for it yield, so that the network is served meanwhile.

use embassy_futures::{block_on, yield_now};
use soqet_core::adapters::blocks::{BLOCK, BlockDevice};

/// An SPI bus with one card on it.
pub trait Bus {
    /// Drives the card's chip select.
    fn select(&mut self, selected: bool);
    /// Sets the clock, to at most so many bits a second.
    fn set_speed(&mut self, hz: u32);
    /// Sends a byte and gives the one that comes meanwhile.
    fn exchange(&mut self, byte: u8) -> u8;
    /// Receives while sending 0xff.
    fn receive(&mut self, bytes: &mut [u8]);
    /// Sends; what comes meanwhile is dropped.
    fn send(&mut self, bytes: &[u8]);
}

/// What can go wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug, defmt::Format)]
pub enum Error {
    /// There is no card, or it does not answer.
    NoAnswer,
    /// The card refused a command with this answer.
    Refused {
        /// The command's number.
        command: u8,
        /// Its answer R1, or the data response to a write.
        answer: u8,
    },
    /// The card is of a kind this does not know.
    Unknown,
    /// There is no such block.
    OutOfBounds,
}

const IDLE: u8 = 1;
const DATA: u8 = 0xfe;
/// Polls until an answer must have come: the bus is slow compared with the core, and a card takes 250 ms at most.
const PATIENCE: u32 = 2_000_000;

/// A card.
pub struct Card<B> {
    bus: B,
    blocks: u32,
    /// It counts bytes, not blocks: a card of at most 2 GiB.
    by_bytes: bool,
}

impl<B: Bus> Card<B> {
    /// A card nothing is known of yet.
    pub const fn new(bus: B) -> Self {
        Self {
            bus,
            blocks: 0,
            by_bytes: false,
        }
    }

    /// Wakes the card up and asks what it is. To be called before all others.
    pub fn start(&mut self) -> Result<(), Error> {
        // 74 clocks at least with the card not selected put it into its senses.
        self.bus.select(false);
        self.bus.send(&[0xff; 10]);
        if self.ask(0, 0)? != IDLE {
            return Err(Error::NoAnswer);
        }
        // Version 2 and later repeats the pattern; an older one knows no command 8.
        let mut echo = [0; 4];
        let second = self.command(8, 0x1aa)? == IDLE;
        if second {
            self.bus.receive(&mut echo);
        }
        self.end();
        if second && echo[2..] != [1, 0xaa] {
            return Err(Error::Unknown);
        }
        let high_capacity = u32::from(second) << 30;
        let mut left = PATIENCE;
        loop {
            self.ask(55, 0)?;
            match self.ask(41, high_capacity)? {
                0 => break,
                IDLE => {}
                answer => {
                    return Err(Error::Refused {
                        command: 41,
                        answer,
                    });
                }
            }
            left = left.checked_sub(1).ok_or(Error::NoAnswer)?;
        }
        let mut conditions = [0; 4];
        self.command(58, 0)?;
        self.bus.receive(&mut conditions);
        self.end();
        self.by_bytes = conditions[0] & 1 << 6 == 0;
        if self.by_bytes {
            self.accepted(16, BLOCK as u32)?;
        }
        self.blocks = block_on(self.read_size())?;
        self.bus.set_speed(12_500_000);
        Ok(())
    }

    fn address(&self, block: u32) -> Result<u32, Error> {
        if block >= self.blocks {
            Err(Error::OutOfBounds)
        } else if self.by_bytes {
            Ok(block * BLOCK as u32)
        } else {
            Ok(block)
        }
    }

    /// The card's size in blocks, from its CSD (section 5.3).
    async fn read_size(&mut self) -> Result<u32, Error> {
        self.expect_accepted(9, 0)?;
        let mut csd = [0; 16];
        let outcome = self.data(&mut csd).await;
        self.end();
        outcome?;
        let bits = u128::from_be_bytes(csd);
        let field = |low: u32, width: u32| (bits >> low) as u32 & ((1 << width) - 1);
        match field(126, 2) {
            0 => {
                let block_length = field(80, 4);
                let count = (field(62, 12) + 1) << (field(47, 3) + 2);
                Ok(count << block_length.saturating_sub(9))
            }
            1 => Ok((field(48, 22) + 1) << 10),
            _ => Err(Error::Unknown),
        }
    }

    /// A command whose answer says no more than that it was accepted.
    fn accepted(&mut self, command: u8, argument: u32) -> Result<(), Error> {
        self.expect_accepted(command, argument)?;
        self.end();
        Ok(())
    }

    /// A command that must be accepted, after which something follows.
    fn expect_accepted(&mut self, command: u8, argument: u32) -> Result<(), Error> {
        match self.command(command, argument)? {
            0 => Ok(()),
            answer => {
                self.end();
                Err(Error::Refused { command, answer })
            }
        }
    }

    /// A command with nothing after its answer.
    fn ask(&mut self, command: u8, argument: u32) -> Result<u8, Error> {
        let answer = self.command(command, argument);
        self.end();
        answer
    }

    /// Selects the card and sends a command; gives its answer R1. [`Self::end`] must follow.
    fn command(&mut self, command: u8, argument: u32) -> Result<u8, Error> {
        self.bus.select(true);
        let [a, b, c, d] = argument.to_be_bytes();
        // Check sums matter until the card is in SPI mode, that is for these two.
        let check = match command {
            0 => 0x95,
            8 => 0x87,
            _ => 0xff,
        };
        self.bus.send(&[0xff, 0x40 | command, a, b, c, d, check]);
        for _ in 0..16 {
            let answer = self.bus.exchange(0xff);
            if answer & 0x80 == 0 {
                return Ok(answer);
            }
        }
        self.end();
        Err(Error::NoAnswer)
    }

    fn end(&mut self) {
        self.bus.select(false);
        // Eight clocks more, or the card does not let go of the bus.
        self.bus.exchange(0xff);
    }

    /// Data the card sends after a command.
    async fn data(&mut self, into: &mut [u8]) -> Result<(), Error> {
        let token = self.until(|byte| byte != 0xff).await?;
        if token != DATA {
            return Err(Error::Refused {
                command: 17,
                answer: token,
            });
        }
        self.bus.receive(into);
        self.bus.receive(&mut [0; 2]);
        Ok(())
    }

    /// Waits for a byte.
    async fn until(&mut self, wanted: impl Fn(u8) -> bool) -> Result<u8, Error> {
        for _ in 0..PATIENCE {
            let byte = self.bus.exchange(0xff);
            if wanted(byte) {
                return Ok(byte);
            }
            yield_now().await;
        }
        Err(Error::NoAnswer)
    }
}

impl<B: Bus> BlockDevice for Card<B> {
    type Error = Error;

    fn blocks(&self) -> u32 {
        self.blocks
    }

    async fn read(&mut self, block: u32, into: &mut [u8; BLOCK]) -> Result<(), Error> {
        let address = self.address(block)?;
        self.expect_accepted(17, address)?;
        let outcome = self.data(into).await;
        self.end();
        outcome
    }

    async fn write(&mut self, block: u32, from: &[u8; BLOCK]) -> Result<(), Error> {
        let address = self.address(block)?;
        self.expect_accepted(24, address)?;
        // At least one byte must pass between the answer and the data.
        self.bus.send(&[0xff, DATA]);
        self.bus.send(from);
        // A check sum that nobody checks.
        self.bus.send(&[0xff; 2]);
        let answer = self.bus.exchange(0xff) & 0x1f;
        let idle = self.until(|byte| byte == 0xff).await;
        self.end();
        idle?;
        if answer != 0x05 {
            return Err(Error::Refused {
                command: 24,
                answer,
            });
        }
        Ok(())
    }
}
