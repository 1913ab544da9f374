//! What a process asks of its system: sockets, files, memory. No word of the mesh in here.
//!
//! `backoff` spaces out what is tried again, `accept` keeps a listener alive when descriptors run
//! out, `allocator` gives memory back, `any` is a stream or listener of whatever kind, `causes`
//! tells an error in one line, `descriptors` raises their limit at start, `file` writes and reads
//! files that must be whole and, where asked, private, `holder` says who is in the way of a
//! listener, `listen` binds for both families, `listening` lists what listens, `pass` gives open
//! descriptors to another process, `ports` finds a free one, `shares` keeps one address from taking
//! all places.

pub mod accept;
pub mod allocator;
pub mod any;
pub mod backoff;
pub mod causes;
pub mod descriptors;
pub mod file;
pub mod holder;
pub mod listen;
pub mod listening;
pub mod pass;
pub mod ports;
pub mod shares;

#[cfg(test)]
mod tests;
