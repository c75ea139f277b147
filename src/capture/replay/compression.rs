//! Compressed captures: gzip (RFC 1952) and zstd (RFC 8878), decompressed while they are read.
//!
//! Both may consist of several parts, one after the other, as `cat` and parallel compressors write them. Memory is that
//! of the window of the format: 32 KiB for gzip, at most [`WINDOW_BYTES_MAX`] for zstd. Time is proportional to what
//! comes out.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::GzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// A compression that is decompressed here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    Gzip,
    Zstd,
}

impl Compression {
    /// Recognizes the compression by the first bytes of a file; `None` if it is none of these.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [GZIP_MAGIC, 0x8b, ..] => Some(Self::Gzip),
            // A frame, or one that decoders skip, with which parallel compressors begin.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Returns the name of the format, which is also that of the command.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

/// The reason why compressed bytes cannot be decompressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DecompressionFault {
    pub(super) compression: Compression,
    /// Offset of the fault in the compressed bytes.
    pub(super) offset: u64,
    /// What is wrong.
    pub(super) reason: String,
}

impl fmt::Display for DecompressionFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}: {}", self.compression.name(), self.offset, self.reason)
    }
}

impl std::error::Error for DecompressionFault {}

/// A reader of decompressed bytes. Its error is a [`DecompressionFault`], unless the underlying reader fails.
pub(super) struct Decompressor {
    compression: Compression,
    decoder: Decoder,
    /// The fault at which decompression ended. It is returned again by each further read.
    fault: Option<DecompressionFault>,
}

type CompressedSource = BufReader<CountedReader>;

enum Decoder {
    /// `None` after the last part.
    Gzip(Option<Box<GzDecoder<CompressedSource>>>),
    Zstd(Box<ZstdReader>),
}

struct ZstdReader {
    frame: FrameDecoder,
    is_in_frame: bool,
    /// An error that is returned when what was decompressed before it is read.
    deferred: Option<io::Error>,
    source: CompressedSource,
}

impl Decompressor {
    /// Makes a reader of the decompressed bytes of `reader`. It reads nothing yet.
    pub(super) fn new(compression: Compression, reader: Box<dyn Read + Send>) -> Self {
        let source =
            BufReader::with_capacity(SOURCE_BYTES, CountedReader { reader, read: 0, has_failed: false });
        let decoder = match compression {
            Compression::Gzip => Decoder::Gzip(Some(Box::new(GzDecoder::new(source)))),
            Compression::Zstd => {
                let mut frame = FrameDecoder::new();
                frame.set_max_window_size(WINDOW_BYTES_MAX);
                Decoder::Zstd(Box::new(ZstdReader { frame, is_in_frame: false, deferred: None, source }))
            }
        };
        Self { compression, decoder, fault: None }
    }

    fn source(&self) -> Option<&CompressedSource> {
        match &self.decoder {
            Decoder::Gzip(member) => member.as_ref().map(|member| member.get_ref()),
            Decoder::Zstd(reader) => Some(&reader.source),
        }
    }
}

impl Read for Decompressor {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(fault) = &self.fault {
            return Err(io::Error::other(fault.clone()));
        }
        let result = match &mut self.decoder {
            Decoder::Gzip(member) => read_gzip(member, buffer),
            Decoder::Zstd(reader) => reader.read(buffer),
        };
        result.map_err(|error| {
            let (read, has_failed) = self.source().map_or((0, false), |source| {
                let CountedReader { read, has_failed, .. } = source.get_ref();
                (read - source.buffer().len() as u64, *has_failed)
            });
            if has_failed {
                return error;
            }
            let reason = match error.kind() {
                io::ErrorKind::UnexpectedEof => "it is cut short".to_owned(),
                _ => innermost(&error),
            };
            let fault = DecompressionFault { compression: self.compression, offset: read, reason };
            self.fault = Some(fault.clone());
            io::Error::other(fault)
        })
    }
}

/// Reads from the parts of a gzip file. Zeros after the last part are padding, as for gzip(1).
fn read_gzip(member: &mut Option<Box<GzDecoder<CompressedSource>>>, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        let Some(mut decoder) = member.take() else { return Ok(0) };
        let result = decoder.read(buffer);
        if !matches!(result, Ok(0)) {
            *member = Some(decoder);
            return result;
        }
        let mut source = decoder.into_inner();
        if skip_zeros(&mut source)? {
            return Ok(0);
        }
        let is_next = source.buffer().first() == Some(&GZIP_MAGIC);
        *member = Some(Box::new(GzDecoder::new(source)));
        if !is_next {
            return Err(io::Error::other("after it are bytes that are not compressed"));
        }
    }
}

/// Consumes zeros. Returns true if nothing is left after them.
fn skip_zeros(source: &mut CompressedSource) -> io::Result<bool> {
    loop {
        let available = source.fill_buf()?;
        if available.is_empty() {
            return Ok(true);
        }
        let zeros = available.iter().take_while(|&&byte| byte == 0).count();
        if zeros == 0 {
            return Ok(false);
        }
        source.consume(zeros);
    }
}

impl ZstdReader {
    /// Reads from the frames of the source, one after the other.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Self { frame, is_in_frame, deferred, source } = self;
        loop {
            if *is_in_frame {
                let len = frame.read(buffer)?;
                if len > 0 {
                    return Ok(len);
                }
                if !frame.is_finished() {
                    if let Err(error) =
                        frame.decode_blocks(&mut *source, BlockDecodingStrategy::UptoBlocks(1))
                    {
                        // The decoder keeps the last window back until the frame ends, so the frame is ended here.
                        frame.decode_blocks(END_OF_FRAME, BlockDecodingStrategy::All).map_err(zstd_error)?;
                        *deferred = Some(zstd_error(error));
                    }
                    continue;
                }
                *is_in_frame = false;
                if let Some(error) = deferred.take() {
                    return Err(error);
                }
                let declared = frame.get_checksum_from_data();
                if declared.is_some() && declared != frame.get_calculated_checksum() {
                    return Err(io::Error::other("the checksum is wrong"));
                }
            }
            if source.fill_buf()?.is_empty() {
                return Ok(0);
            }
            match frame.init(&mut *source) {
                Ok(()) => *is_in_frame = true,
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let skipped = io::copy(&mut source.take(length.into()), &mut io::sink())?;
                    if skipped < u64::from(length) {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(zstd_error(error)),
            }
        }
    }
}

/// Returns the error of the source if that is the cause, so that its kind is known.
fn zstd_error(error: FrameDecoderError) -> io::Error {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(this) = cause {
        if let Some(error) = this.downcast_ref::<io::Error>() {
            return io::Error::new(error.kind(), error.to_string());
        }
        cause = this.source();
    }
    io::Error::other(error)
}

/// Returns the text of the cause at the end of the chain.
fn innermost(error: &io::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// A reader that counts its bytes, remembers whether it has failed, and reads again when it is interrupted.
struct CountedReader {
    reader: Box<dyn Read + Send>,
    read: u64,
    has_failed: bool,
}

impl Read for CountedReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.reader.read(buffer) {
                Ok(len) => {
                    self.read += len as u64;
                    return Ok(len);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.has_failed = true;
                    return Err(error);
                }
            }
        }
    }
}

/// The first byte of each part of a gzip file.
const GZIP_MAGIC: u8 = 0x1f;

/// A last block of zstd without content (RFC 8878, 3.1.1.2), and the checksum that some frames have after it.
const END_OF_FRAME: &[u8] = &[1, 0, 0, 0, 0, 0, 0];

/// Bytes of compressed data that are read at once.
const SOURCE_BYTES: usize = 1 << 16;

/// Maximum bytes of the window of zstd, which is what zstd(1) decompresses without `--long`.
const WINDOW_BYTES_MAX: u64 = 128 << 20;
