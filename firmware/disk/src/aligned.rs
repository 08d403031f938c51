//! Heap memory that direct I/O accepts.
#![expect(unsafe_code, reason = "std has no safe allocation with a chosen alignment")]

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::fmt;
use std::ptr::NonNull;

/// The unit of direct I/O in bytes: offsets, lengths and addresses of writes are multiples of it.
pub const ALIGNMENT: usize = 4096;

/// A buffer whose address and capacity are multiples of [`ALIGNMENT`]. It never grows by itself.
///
/// All of its capacity is initialised from the start, so that padding it never reveals old memory.
pub struct AlignedBuffer {
    pointer: NonNull<u8>,
    capacity: usize,
    len: usize,
}

// SAFETY: the buffer owns its memory exclusively, like a Vec<u8>.
unsafe impl Send for AlignedBuffer {}
// SAFETY: shared access only reads.
unsafe impl Sync for AlignedBuffer {}

impl AlignedBuffer {
    /// An empty buffer with room for at least `bytes`, rounded up to [`ALIGNMENT`] (at least one unit).
    pub fn with_capacity(bytes: usize) -> Self {
        let capacity = bytes.max(1).next_multiple_of(ALIGNMENT);
        let layout = Self::layout(capacity);
        // SAFETY: the layout's size is at least ALIGNMENT, so not zero.
        let pointer = unsafe { alloc_zeroed(layout) };
        match NonNull::new(pointer) {
            Some(pointer) => AlignedBuffer { pointer, capacity, len: 0 },
            None => handle_alloc_error(layout),
        }
    }

    /// A buffer of `len` zero bytes.
    pub fn zeroed(len: usize) -> Self {
        let mut buffer = Self::with_capacity(len);
        buffer.len = len;
        buffer
    }

    /// A copy of `data`, padded with zeros to a multiple of [`ALIGNMENT`].
    pub fn padded_copy(data: &[u8]) -> Self {
        let mut buffer = Self::with_capacity(data.len());
        buffer.append(data);
        buffer.pad();
        buffer
    }

    fn layout(capacity: usize) -> Layout {
        // A capacity past isize::MAX cannot be had from any allocator; like Vec, that is the caller's bug.
        Layout::from_size_align(capacity, ALIGNMENT).expect("buffer capacity exceeds the address space")
    }

    /// Bytes in use.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no byte is in use.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that fit in all.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Bytes that still fit.
    pub fn room(&self) -> usize {
        self.capacity - self.len
    }

    /// Forgets the content; the memory stays.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Appends as much of `data` as fits and returns how many bytes that was.
    pub fn append(&mut self, data: &[u8]) -> usize {
        let taken = data.len().min(self.room());
        let (from, to) = (self.len, self.len + taken);
        self.len = to;
        self[from..to].copy_from_slice(&data[..taken]);
        taken
    }

    /// Appends zeros up to the next multiple of [`ALIGNMENT`].
    pub fn pad(&mut self) {
        self.pad_to(ALIGNMENT);
    }

    /// Appends zeros up to the next multiple of `unit`, which divides [`ALIGNMENT`].
    pub fn pad_to(&mut self, unit: usize) {
        debug_assert!(ALIGNMENT.is_multiple_of(unit));
        let from = self.len;
        self.len = from.next_multiple_of(unit).min(self.capacity);
        self[from..].fill(0);
    }

    /// Sets the length: shorter cuts off, longer (at most the capacity) appends zeros.
    pub fn resize(&mut self, len: usize) {
        let (from, len) = (self.len, len.min(self.capacity));
        self.len = len;
        if len > from {
            self[from..].fill(0);
        }
    }
}

impl std::ops::Deref for AlignedBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `pointer` is valid for `capacity` initialised bytes and len <= capacity.
        unsafe { std::slice::from_raw_parts(self.pointer.as_ptr(), self.len) }
    }
}

impl std::ops::DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `&mut self` is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.pointer.as_ptr(), self.len) }
    }
}

// SAFETY: the memory stays where it is while the buffer is owned, moved or not, and all of `len` is initialised.
unsafe impl tokio_uring::buf::IoBuf for AlignedBuffer {
    fn stable_ptr(&self) -> *const u8 {
        self.pointer.as_ptr()
    }

    fn bytes_init(&self) -> usize {
        self.len
    }

    fn bytes_total(&self) -> usize {
        self.capacity
    }
}

impl Drop for AlignedBuffer {
    fn drop(&mut self) {
        // SAFETY: allocated in with_capacity with this very layout.
        unsafe { dealloc(self.pointer.as_ptr(), Self::layout(self.capacity)) };
    }
}

impl fmt::Debug for AlignedBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AlignedBuffer({} of {} bytes)", self.len, self.capacity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aligned_padded_and_bounded() {
        let mut buffer = AlignedBuffer::with_capacity(5000);
        assert_eq!((buffer.capacity(), buffer.as_ptr() as usize % ALIGNMENT), (8192, 0));
        assert_eq!(buffer.append(&[7; 10_000]), 8192);
        buffer.clear();
        assert_eq!(buffer.append(&[1, 2, 3]), 3);
        buffer.pad();
        assert_eq!(buffer.len(), 4096);
        assert!(buffer[3..].iter().all(|&byte| byte == 0), "old content must not show in the padding");
        buffer.resize(9000);
        assert_eq!(buffer.len(), 8192);
        assert!(buffer[4096..].iter().all(|&byte| byte == 0));
    }
}
