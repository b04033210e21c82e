//! An [`Operation`] that owns its texts, so that it can wait in a thread's queue.

use soqet_core::store::{Operation, packed};

/// An operation with its texts copied.
#[derive(Debug)]
pub struct Packed {
    packed: packed::Packed,
    texts: Box<[u8]>,
}

impl Packed {
    /// Copies an operation.
    pub fn new(operation: &Operation<'_>) -> Self {
        let mut texts = vec![0; packed::Packed::length(operation)].into_boxed_slice();
        let packed = packed::Packed::new(operation, &mut texts)
            .expect("the buffer has the length that it takes");
        Self { packed, texts }
    }

    /// The operation.
    pub fn operation(&self) -> Operation<'_> {
        self.packed.operation(&self.texts)
    }
}
