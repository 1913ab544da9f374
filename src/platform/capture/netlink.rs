//! A transaction to the kernel and what it says to it, by a netlink socket of this thread's network
//! namespace. All of a transaction is done, or nothing of it.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use netlink_packet_core::{NLM_F_ACK, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_netfilter::none::ControlMessage;
use netlink_packet_netfilter::{NetfilterHeader, NetfilterMessage, NetfilterProtoFamily};
use netlink_sys::Socket;
use netlink_sys::protocols::NETLINK_NETFILTER;
use rustix::io::Errno;

use super::encode::{self, Step};
use super::{Capture, CaptureError, TABLE, plan};

/// `NFNL_SUBSYS_NFTABLES`, which the marks around a transaction name.
const NFTABLES: u16 = 10;
/// `MSG_DONTWAIT`: the kernel has answered when it has taken a message.
const AT_ONCE: i32 = rustix::net::RecvFlags::DONTWAIT.bits().cast_signed();
/// More than any answer of the kernel, which repeats what it refuses.
const ANSWER: usize = 64 << 10;

/// Rules that end with this value, or with the process, whichever comes first.
#[derive(Debug)]
pub struct Held {
    socket: Socket,
}

impl Held {
    /// What the rules live by, for this process and others: they end with the last of its copies.
    ///
    /// # Errors
    /// Descriptors have run out.
    pub fn into_descriptor(self) -> io::Result<OwnedFd> {
        self.socket.as_fd().try_clone_to_owned()
    }
}

/// Programs the capture in place of the one before it; the same again changes nothing.
///
/// # Errors
/// [`CaptureError`]; then nothing has changed.
pub fn load(capture: &Capture) -> Result<(), CaptureError> {
    let table = capture.table();
    transact(&open()?, &table, encode::replace(&table, &plan::plan(capture)))
}

/// Programs the capture for as long as the answer lives. A table of that name that another process
/// holds is [`CaptureError::Taken`].
///
/// # Errors
/// [`CaptureError`]; then nothing has changed.
pub fn hold(capture: &Capture) -> Result<Held, CaptureError> {
    let table = capture.table();
    let socket = open()?;
    transact(&socket, &table, encode::own(&table, &plan::plan(capture)))?;
    Ok(Held { socket })
}

/// Removes what [`load`] made for a pod; `false` where there was nothing.
///
/// # Errors
/// [`CaptureError`].
pub fn unload() -> Result<bool, CaptureError> {
    match transact(&open()?, TABLE, vec![encode::delete(TABLE)]) {
        Ok(()) => Ok(true),
        Err(CaptureError::Unsupported(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// A socket with an address, by which the kernel knows the owner of a table.
fn open() -> Result<Socket, CaptureError> {
    let failed = |error: io::Error| match Errno::from_io_error(&error) {
        Some(Errno::PROTONOSUPPORT | Errno::AFNOSUPPORT) => CaptureError::NoNfTables,
        _ => CaptureError::System("open a netlink socket".to_owned(), error),
    };
    let mut socket = Socket::new(NETLINK_NETFILTER).map_err(failed)?;
    socket.bind_auto().map_err(failed)?;
    Ok(socket)
}

/// Sends all as one transaction, and reads every answer.
fn transact(socket: &Socket, table: &str, steps: Vec<Step>) -> Result<(), CaptureError> {
    let what: Vec<String> = steps.iter().map(|step| step.what.clone()).collect();
    let failed = |what: &str, error| CaptureError::System(what.to_owned(), error);
    let batch = batch(steps);
    socket.send(&batch, 0).map_err(|error| failed("send to the kernel", error))?;
    let mut done = false;
    while let Some(answers) = receive(socket).map_err(|e| failed("hear from the kernel", e))? {
        for (number, errno) in answers {
            // The first message of a transaction is the mark of its beginning.
            let step = usize::try_from(number).ok().and_then(|at| at.checked_sub(1));
            match (errno, step.and_then(|at| what.get(at))) {
                (None, _) => done |= step.is_some_and(|at| at + 1 == what.len()),
                (Some(Errno::PERM), None) => return Err(CaptureError::NotPermitted),
                (Some(Errno::OPNOTSUPP), None) => return Err(CaptureError::NoNfTables),
                (Some(Errno::PERM | Errno::EXIST), Some(_)) => {
                    return Err(CaptureError::Taken(table.to_owned()));
                }
                (Some(Errno::NOENT | Errno::OPNOTSUPP | Errno::AFNOSUPPORT), Some(what)) => {
                    return Err(CaptureError::Unsupported(what.clone()));
                }
                (Some(errno), what) => {
                    let what = what.map_or("program nftables", String::as_str);
                    return Err(failed(what, errno.into()));
                }
            }
        }
    }
    match done {
        true => Ok(()),
        false => Err(failed("program nftables", io::Error::other("the kernel gave no answer"))),
    }
}

/// The bytes of a transaction; its last step is to be acknowledged. Steps are numbered from 1.
fn batch(steps: Vec<Step>) -> Vec<u8> {
    let count = steps.len();
    let mark = |control| {
        let header = NetfilterHeader::new(NetfilterProtoFamily::Unspec, 0, NFTABLES);
        (0, NetfilterMessage::new(header, control))
    };
    let begin = std::iter::once(mark(ControlMessage::BatchBegin));
    let steps = steps.into_iter().enumerate().map(|(index, step)| {
        let ack = if index + 1 == count { NLM_F_ACK } else { 0 };
        let header = NetfilterHeader::new(NetfilterProtoFamily::Inet, 0, 0);
        (step.flags | ack, NetfilterMessage::new(header, step.message))
    });
    let end = std::iter::once(mark(ControlMessage::BatchEnd));
    let mut bytes = Vec::new();
    for (number, (flags, message)) in (0u32..).zip(begin.chain(steps).chain(end)) {
        let mut message = NetlinkMessage::from(message);
        message.header.flags = NLM_F_REQUEST | flags;
        message.header.sequence_number = number;
        message.finalize();
        let start = bytes.len();
        bytes.resize(start + message.buffer_len().next_multiple_of(4), 0);
        message.serialize(bytes.get_mut(start..).unwrap_or_default());
    }
    bytes
}

/// What the kernel says to a message: its number, and why it was refused.
type Answer = (u32, Option<Errno>);

/// The answers of one datagram; `None`: no more.
fn receive(socket: &Socket) -> io::Result<Option<Vec<Answer>>> {
    let mut bytes = Vec::with_capacity(ANSWER);
    match socket.recv(&mut bytes, AT_ONCE) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
        Err(error) => return Err(error),
    }
    let mut answers = Vec::new();
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        let message = NetlinkMessage::<NetfilterMessage>::deserialize(rest)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        if let NetlinkPayload::Error(error) = &message.payload {
            let errno = error.code.map(|code| Errno::from_raw_os_error(code.get().abs()));
            answers.push((message.header.sequence_number, errno));
        }
        let length = usize::try_from(message.header.length).unwrap_or(usize::MAX);
        rest = rest.get(length.checked_next_multiple_of(4).unwrap_or(length)..).unwrap_or_default();
    }
    Ok(Some(answers))
}
