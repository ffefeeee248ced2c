//! What a file of Zstandard (RFC 8878) holds, as a stream: its frames one after the other.

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::io::{self, BufRead, Read};

/// Bytes that are unpacked at once; a block has at most twice as many.
const STEP: usize = 1 << 16;

/// Frames that are unpacked while they are read.
pub(super) struct ZstdReader<R> {
    packed: R,
    decoder: FrameDecoder,
    /// Whether a frame is begun and not ended.
    is_inside: bool,
}

impl<R: BufRead> ZstdReader<R> {
    /// Nothing read yet.
    pub(super) fn new(packed: R) -> Self {
        Self {
            packed,
            decoder: FrameDecoder::new(),
            is_inside: false,
        }
    }

    /// Begins the next frame that holds something; returns false where the file ends.
    fn next_frame(&mut self) -> io::Result<bool> {
        while !self.packed.fill_buf()?.is_empty() {
            match self.decoder.reset(&mut self.packed) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let mut skipped = self.packed.by_ref().take(length.into());
                    if io::copy(&mut skipped, &mut io::sink())? < u64::from(length) {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        Ok(false)
    }

    /// Ends a frame whose contents have all been taken.
    fn end_frame(&mut self) -> io::Result<()> {
        self.is_inside = false;
        let promised = self.decoder.get_checksum_from_data();
        if promised.is_some() && promised != self.decoder.get_calculated_checksum() {
            return Err(io::Error::other("its checksum is of other contents"));
        }
        Ok(())
    }
}

impl<R: BufRead> Read for ZstdReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.is_inside {
                self.is_inside = self.next_frame()?;
                if !self.is_inside {
                    return Ok(0);
                }
            }
            let taken = self.decoder.read(buffer)?;
            if taken > 0 {
                return Ok(taken);
            }
            if self.decoder.is_finished() {
                self.end_frame()?;
                continue;
            }
            let step = BlockDecodingStrategy::UptoBytes(STEP);
            self.decoder
                .decode_blocks(&mut self.packed, step)
                .map_err(io::Error::other)?;
        }
    }
}
