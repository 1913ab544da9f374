//! The codec of the control side's messages: prost's, with small rooms. A stream says little after its
//! first minute, and thousands of them lie idle; tonic's own codec keeps 16 KiB for each.

use std::marker::PhantomData;

use tonic::codec::{BufferSettings, Codec};
use tonic_prost::{ProstCodec, ProstDecoder, ProstEncoder};

/// What a direction of a stream begins with and grows by, bytes.
const ROOM: usize = 256;

/// Messages that wait are sent together up to so many bytes.
const TOGETHER: usize = 32 * 1024;

/// Encodes `Sent` and decodes `Received`.
pub(super) struct Messages<Sent, Received>(PhantomData<(Sent, Received)>);

impl<Sent, Received> Messages<Sent, Received> {
    pub(super) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<Sent, Received> Codec for Messages<Sent, Received>
where
    Sent: prost::Message + 'static,
    Received: prost::Message + Default + 'static,
{
    type Encode = Sent;
    type Decode = Received;
    type Encoder = ProstEncoder<Sent>;
    type Decoder = ProstDecoder<Received>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<Sent, Received>::raw_encoder(BufferSettings::new(ROOM, TOGETHER))
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstCodec::<Sent, Received>::raw_decoder(BufferSettings::new(ROOM, TOGETHER))
    }
}
