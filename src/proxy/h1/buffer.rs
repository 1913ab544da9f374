//! The read buffer: a block of bytes with a filled window, reused for the life of a worker.

/// The size of a fresh block.
pub const BLOCK: usize = 16 * 1024;

/// The largest a block grows to: a whole head, and what came behind it.
pub const MAX_BLOCK: usize = crate::telemetry::limits::Limit::ReadBuffer.most();

/// Bytes that were read and not yet consumed.
#[derive(Debug, Default)]
pub struct Buffer {
    block: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// A buffer without a block; [`Buffer::space`] takes one.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Takes over a block of an earlier buffer.
    pub fn from_block(block: Vec<u8>) -> Self {
        Self { block, start: 0, end: 0 }
    }

    /// Gives the block up for reuse; what was in it is gone.
    pub fn into_block(self) -> Vec<u8> {
        self.block
    }

    /// Whether it has a block to read into.
    pub fn has_block(&self) -> bool {
        !self.block.is_empty()
    }

    /// Whether its block is worth keeping: there, and not grown.
    pub fn has_standard_block(&self) -> bool {
        self.block.len() == BLOCK
    }

    /// What was read and not consumed.
    pub fn filled(&self) -> &[u8] {
        self.block.get(self.start..self.end).unwrap_or_default()
    }

    /// Whether there is nothing to consume.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// How much there is to consume.
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Drops `count` bytes from the front.
    pub fn consume(&mut self, count: usize) {
        debug_assert!(count <= self.len());
        self.start += count.min(self.len());
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Room to read into; never empty unless the buffer holds [`MAX_BLOCK`] unconsumed bytes.
    pub fn space(&mut self) -> &mut [u8] {
        if self.block.is_empty() {
            self.block = vec![0; BLOCK];
        } else if self.end == self.block.len() {
            if self.start > 0 {
                self.block.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
            } else if self.block.len() < MAX_BLOCK {
                self.block.resize(self.block.len() * 2, 0);
            }
        }
        self.block.get_mut(self.end..).unwrap_or_default()
    }

    /// Says that `count` bytes of [`Buffer::space`] are filled now.
    pub fn advance(&mut self, count: usize) {
        debug_assert!(self.end + count <= self.block.len());
        self.end = (self.end + count).min(self.block.len());
    }
}
