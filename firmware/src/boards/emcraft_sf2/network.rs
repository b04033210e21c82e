//! The SmartFusion2's Ethernet MAC: frames go to and from memory by DMA, along chains of descriptors.

use core::ptr::NonNull;

use smoltcp::phy::{self, DeviceCapabilities, Medium};
use smoltcp::time::Instant;
use static_cell::ConstStaticCell;

use super::super::mmio::Register;

/// Bytes of the longest frame, without its check sum: the 576 of IP that every host must accept, because RAM is dear and
/// connections have buffers of that order anyway. Longer frames, which no peer of a connection sends, are dropped.
const FRAME: usize = 14 + 576;
/// Frames that can wait to be read. The one too many is lost, and its sender sends it again.
const RECEIVED: usize = 4;

#[derive(Clone, Copy)]
enum At {
    Config1 = 0x000,
    MaxFrame = 0x010,
    Station1 = 0x040,
    Station2 = 0x044,
    FifoConfig0 = 0x048,
    FifoConfig5 = 0x05c,
    TxControl = 0x180,
    TxDescriptor = 0x184,
    TxStatus = 0x188,
    RxControl = 0x18c,
    RxDescriptor = 0x190,
    RxStatus = 0x194,
    InterruptMask = 0x198,
}

const CONFIG1_RESET: u32 = 1 << 31;
const CONFIG1_RX: u32 = 1 << 2;
const CONFIG1_TX: u32 = 1;
const ENABLE: u32 = 1;
/// In a status register: a frame was sent or received; writing it takes one off the count.
const FRAME_DONE: u32 = 1;
const TX_UNDERRUN: u32 = 1 << 1;
const RX_OVERFLOW: u32 = 1 << 2;
const INTERRUPT_RECEIVED: u32 = 1 << 4;

fn register(at: At) -> Register {
    // DMA goes only where the descriptors below say.
    #[expect(unsafe_code, reason = "UG0331: registers of the Ethernet MAC")]
    unsafe {
        Register::at(0x4004_1000 + at as usize)
    }
}

/// Where a frame is. The controller reads and writes it.
#[repr(C)]
struct Descriptor {
    frame: u32,
    /// The frame's length; its top bit says that there is none: for receiving, that the controller may put one there; for sending,
    /// that it has sent it.
    size: u32,
    next: u32,
}

const NO_FRAME: u32 = 1 << 31;
const LENGTH: u32 = 0x7ff;

/// A descriptor and the frame it points to: memory that belongs to the controller as well, so it is never borrowed while the
/// controller may write it.
struct Slot {
    descriptor: NonNull<Descriptor>,
    frame: NonNull<[u8; FRAME]>,
}

impl Slot {
    /// Points a descriptor to a frame and to the descriptor after it; there is no frame yet.
    fn new(descriptor: &'static mut Descriptor, frame: &'static mut [u8; FRAME]) -> Self {
        *descriptor = Descriptor {
            frame: frame.as_ptr().addr() as u32,
            size: NO_FRAME,
            next: 0,
        };
        Self {
            descriptor: NonNull::from_mut(descriptor),
            frame: NonNull::from_mut(frame),
        }
    }

    fn address(&self) -> u32 {
        self.descriptor.addr().get() as u32
    }

    fn link(&mut self, next: u32) {
        #[expect(unsafe_code, reason = "the descriptor is valid for ever")]
        unsafe {
            (&raw mut (*self.descriptor.as_ptr()).next).write_volatile(next);
        }
    }

    fn size(&self) -> u32 {
        #[expect(unsafe_code, reason = "the descriptor is valid for ever")]
        unsafe {
            (&raw const (*self.descriptor.as_ptr()).size).read_volatile()
        }
    }

    fn set_size(&mut self, size: u32) {
        // What was written to the frame before must be there when the controller sees this.
        cortex_m::asm::dmb();
        #[expect(unsafe_code, reason = "the descriptor is valid for ever")]
        unsafe {
            (&raw mut (*self.descriptor.as_ptr()).size).write_volatile(size);
        }
        cortex_m::asm::dmb();
    }

    /// The frame, while it is not the controller's.
    fn frame(&mut self) -> &mut [u8; FRAME] {
        #[expect(
            unsafe_code,
            reason = "callers have seen that the controller is done with the frame, and it leaves it alone until `set_size`"
        )]
        unsafe {
            self.frame.as_mut()
        }
    }
}

struct Memory {
    descriptors: [Descriptor; RECEIVED + 1],
    frames: [[u8; FRAME]; RECEIVED + 1],
}

static MEMORY: ConstStaticCell<Memory> = ConstStaticCell::new(Memory {
    descriptors: [const {
        Descriptor {
            frame: 0,
            size: 0,
            next: 0,
        }
    }; RECEIVED + 1],
    frames: [[0; FRAME]; RECEIVED + 1],
});

/// The network interface.
pub struct Network {
    rx: Rx,
    tx: Slot,
}

struct Rx {
    slots: [Slot; RECEIVED],
    /// The slot whose frame is the next to be read.
    next: usize,
}

impl Network {
    /// Resets the controller and lets it receive.
    pub(super) fn start(address: [u8; 6]) -> Self {
        let memory = MEMORY.take();
        let mut slots = memory
            .descriptors
            .iter_mut()
            .zip(&mut memory.frames)
            .map(|(descriptor, frame)| Slot::new(descriptor, frame));
        let mut take = || slots.next().unwrap_or_else(|| unreachable!());
        let mut tx = take();
        let mut rx = core::array::from_fn::<_, RECEIVED, _>(|_| take());
        tx.link(tx.address());
        for slot in 0..RECEIVED {
            let next = rx[(slot + 1) % RECEIVED].address();
            rx[slot].link(next);
        }

        register(At::Config1).write(CONFIG1_RESET);
        register(At::Config1).write(0);
        register(At::MaxFrame).write(FRAME as u32 + 4);
        let [a, b, c, d, e, f] = address;
        register(At::Station1).write(u32::from_be_bytes([a, b, c, d]));
        register(At::Station2).write(u32::from_be_bytes([e, f, 0, 0]));
        // All five modules of the FIFOs on; no frame is dropped by kind, so that multicast comes through.
        register(At::FifoConfig0).write(0x1f00);
        register(At::FifoConfig5).write(0x3_ffff);
        register(At::InterruptMask).write(INTERRUPT_RECEIVED);
        register(At::Config1).write(CONFIG1_RX | CONFIG1_TX);
        register(At::RxDescriptor).write(rx[0].address());
        register(At::RxControl).write(ENABLE);
        Self {
            rx: Rx { slots: rx, next: 0 },
            tx,
        }
    }
}

impl Rx {
    /// Lets the controller use the slot just read again.
    fn release(&mut self) {
        self.slots[self.next].set_size(NO_FRAME);
        self.next = (self.next + 1) % RECEIVED;
        register(At::RxStatus).write(FRAME_DONE);
        if register(At::RxControl).read() & ENABLE == 0 {
            // All slots were full: go on at the first that is not.
            register(At::RxStatus).write(RX_OVERFLOW);
            let free = (0..RECEIVED)
                .map(|ahead| &self.slots[(self.next + ahead) % RECEIVED])
                .find(|slot| slot.size() & NO_FRAME != 0);
            if let Some(slot) = free {
                register(At::RxDescriptor).write(slot.address());
                register(At::RxControl).write(ENABLE);
            }
        }
    }
}

/// A frame that has come.
pub struct RxToken<'a>(&'a mut Rx);

impl phy::RxToken for RxToken<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        let slot = &mut self.0.slots[self.0.next];
        let length = (slot.size() & LENGTH) as usize;
        let result = f(&slot.frame()[..length.min(FRAME)]);
        self.0.release();
        result
    }
}

/// Room for a frame to send.
pub struct TxToken<'a>(&'a mut Slot);

impl phy::TxToken for TxToken<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        let result = f(&mut self.0.frame()[..length]);
        self.0.set_size(length as u32);
        register(At::TxDescriptor).write(self.0.address());
        register(At::TxControl).write(ENABLE);
        register(At::TxStatus).write(FRAME_DONE | TX_UNDERRUN);
        result
    }
}

impl phy::Device for Network {
    type RxToken<'a> = RxToken<'a>;
    type TxToken<'a> = TxToken<'a>;

    fn receive(&mut self, _: Instant) -> Option<(RxToken<'_>, TxToken<'_>)> {
        let has_frame = self.rx.slots[self.rx.next].size() & NO_FRAME == 0;
        (has_frame && self.tx.size() & NO_FRAME != 0)
            .then_some((RxToken(&mut self.rx), TxToken(&mut self.tx)))
    }

    fn transmit(&mut self, _: Instant) -> Option<TxToken<'_>> {
        (self.tx.size() & NO_FRAME != 0).then_some(TxToken(&mut self.tx))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = FRAME;
        capabilities
    }
}
