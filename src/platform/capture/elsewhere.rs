//! Where there are no nftables: every attempt to capture is refused, in the same words.

use super::{Capture, CaptureError};

/// Never made here.
#[derive(Debug)]
pub struct Held(std::convert::Infallible);

impl Held {
    /// Never called.
    ///
    /// # Errors
    /// None.
    pub fn into_descriptor(self) -> std::io::Result<std::os::fd::OwnedFd> {
        match self.0 {}
    }
}

/// Refused: this is no Linux.
///
/// # Errors
/// Always [`CaptureError::Platform`].
pub fn load(_: &Capture) -> Result<(), CaptureError> {
    Err(CaptureError::Platform)
}

/// Refused: this is no Linux.
///
/// # Errors
/// Always [`CaptureError::Platform`].
pub fn hold(_: &Capture) -> Result<Held, CaptureError> {
    Err(CaptureError::Platform)
}

/// Refused: this is no Linux.
///
/// # Errors
/// Always [`CaptureError::Platform`].
pub fn unload() -> Result<bool, CaptureError> {
    Err(CaptureError::Platform)
}
