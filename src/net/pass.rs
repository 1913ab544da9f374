//! Messages with open descriptors, between two processes over a Unix socket (unix(7), `SCM_RIGHTS`).
//!
//! A message is its length in four bytes, big end first, its bytes, and the descriptors, which travel
//! with the first of them. Both have bounds; what exceeds them ends the conversation, and whatever
//! descriptors have come are closed. Descriptors that come do not outlive an `exec`.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use tokio::io::Interest;
use tokio::net::UnixStream;

#[cfg(test)]
mod tests;

/// Descriptors in one message; Linux takes 253.
pub const MOST_DESCRIPTORS: usize = 200;

/// Bytes in one message.
pub const MOST_BYTES: usize = 64 * 1024;

/// Bytes before those of a message.
const PREFIX: usize = 4;

/// Room for the descriptors of one message.
const SPACE: usize = rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS));

/// Descriptors that come are closed by `exec`, from the moment they are there.
#[cfg(target_os = "linux")]
const FLAGS: RecvFlags = RecvFlags::CMSG_CLOEXEC;
#[cfg(not(target_os = "linux"))]
const FLAGS: RecvFlags = RecvFlags::empty();

/// What came in one message.
#[derive(Debug, Default)]
pub struct Message {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its descriptors, in the order of the sender.
    pub descriptors: Vec<OwnedFd>,
}

/// Sends one message; not cancel safe.
///
/// # Errors
/// That of the socket; [`io::ErrorKind::InvalidInput`] for more than fits.
pub async fn send(
    stream: &UnixStream,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).ok().filter(|_| bytes.len() <= MOST_BYTES);
    let Some(length) = length.filter(|_| descriptors.len() <= MOST_DESCRIPTORS) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a message is too large"));
    };
    let message = [&length.to_be_bytes(), bytes].concat();
    let mut rest = message.as_slice();
    let mut descriptors = descriptors;
    while !rest.is_empty() {
        let sent =
            stream.async_io(Interest::WRITABLE, || send_some(stream, rest, descriptors)).await?;
        descriptors = &[];
        rest = rest.get(sent..).unwrap_or_default();
    }
    Ok(())
}

fn send_some(
    stream: &UnixStream,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); SPACE];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok(sendmsg(stream, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL)?)
}

/// Receives one message; `None` where the other end has ended. Not cancel safe.
///
/// # Errors
/// That of the socket; [`io::ErrorKind::InvalidData`] for what is no message.
pub async fn receive(stream: &UnixStream) -> io::Result<Option<Message>> {
    let mut descriptors = Vec::new();
    let mut prefix = [0; PREFIX];
    if !fill(stream, &mut prefix, &mut descriptors).await? {
        return Ok(None);
    }
    let length = usize::try_from(u32::from_be_bytes(prefix)).unwrap_or(usize::MAX);
    if length > MOST_BYTES {
        return Err(invalid("a message is too long"));
    }
    let mut bytes = vec![0; length];
    if length > 0 && !fill(stream, &mut bytes, &mut descriptors).await? {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(Message { bytes, descriptors }))
}

/// Fills `buffer`; `false` where the other end has ended before its first byte.
async fn fill(
    stream: &UnixStream,
    buffer: &mut [u8],
    descriptors: &mut Vec<OwnedFd>,
) -> io::Result<bool> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        let mut come = Vec::new();
        let count = stream
            .async_io(Interest::READABLE, || receive_some(stream, &mut *rest, &mut come))
            .await?;
        descriptors.append(&mut come);
        if descriptors.len() > MOST_DESCRIPTORS {
            return Err(invalid("too many descriptors"));
        }
        match (count, filled) {
            (0, 0) => return Ok(false),
            (0, _) => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ => filled += count,
        }
    }
    Ok(true)
}

fn receive_some(
    stream: &UnixStream,
    buffer: &mut [u8],
    descriptors: &mut Vec<OwnedFd>,
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); SPACE];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(stream, &mut [IoSliceMut::new(buffer)], &mut ancillary, FLAGS)?;
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(come) = message {
            descriptors.extend(come);
        }
    }
    // The kernel has closed those that did not fit.
    if received.flags.contains(ReturnFlags::CTRUNC) {
        return Err(invalid("too many descriptors"));
    }
    #[cfg(not(target_os = "linux"))]
    for descriptor in descriptors.iter() {
        rustix::io::fcntl_setfd(descriptor, rustix::io::FdFlags::CLOEXEC)?;
    }
    Ok(received.bytes)
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}
