//! The allocator, asked to give back what it keeps.
//!
//! It keeps what was freed for a second, for whoever needs it next, and looks at that only when it
//! is asked for more: a process that has become quiet would keep it for good. Where the program
//! runs on another allocator (tests of this library do) nothing happens.

/// Gives back what was freed on this thread: what has been free for a while, or `all` of it. Asked
/// twice a second it costs microseconds.
pub fn give_back(all: bool) {
    #[expect(unsafe_code, reason = "a function of the allocator that takes and returns no pointer")]
    unsafe {
        libmimalloc_sys::mi_collect(all);
    }
}
