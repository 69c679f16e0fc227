// SPDX-License-Identifier: Apache-2.0
//! Text as it is read: as it stands in the file, or unpacked from gzip or zstd on the way. What is packed has one part only and is read from its
//! start on; a window as long as what was asked for last stays in memory, nothing else.
use std::cell::RefCell;
use std::io::{BufRead, Error, ErrorKind, Read};
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;

use crate::fail::{fail, Outcome, CORRUPT, UNSUPPORTED};
use crate::file::Part;
use crate::orc_stream::reserve;
use crate::source::Source;

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Packed {
    Gzip,
    Zstd,
}

/// Of what is read of a packed file at a time.
const FEED_BYTES: u64 = 256 << 10;
const STEP_BYTES: usize = 256 << 10;
/// Guessed for how much longer text is than it is packed.
const USUAL_RATIO: u64 = 5;

impl Packed {
    /// By the first bytes of a file.
    pub fn of(head: &[u8]) -> Option<Packed> {
        match head {
            [0x1f, 0x8b, ..] => Some(Packed::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Packed::Zstd),
            _ => None,
        }
    }

    /// The one part.
    pub fn part(self, source: &Source) -> Part {
        let size_bytes = source.size();
        Part { index: 0, offset: 0, size_bytes, rows: -1, memory_bytes: size_bytes.saturating_mul(2 * USUAL_RATIO) }
    }
}

/// The file's bytes in order.
struct Feed {
    source: Arc<Source>,
    /// Behind `bytes`.
    at: u64,
    bytes: Vec<u8>,
    used: usize,
}

impl Feed {
    fn place(&self) -> u64 {
        self.at - (self.bytes.len() - self.used) as u64
    }
}

impl BufRead for Feed {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        if self.used == self.bytes.len() {
            (self.bytes, self.used) = (Vec::new(), 0);
            let len = (self.source.size() - self.at).min(FEED_BYTES) as usize;
            self.bytes = self.source.read(self.at, len).map_err(|failed| Error::other(failed.text))?;
            self.at += len as u64;
        }
        Ok(&self.bytes[self.used..])
    }

    fn consume(&mut self, n: usize) {
        self.used += n;
    }
}

impl Read for Feed {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let n = self.fill_buf()?.read(into)?;
        self.consume(n);
        Ok(n)
    }
}

enum Decoder {
    Gzip(Box<MultiGzDecoder<Feed>>),
    Zstd(zstd::Decoder<'static, Feed>),
}

impl Decoder {
    fn new(packed: Packed, source: &Arc<Source>) -> Outcome<Decoder> {
        let feed = Feed { source: source.clone(), at: 0, bytes: Vec::new(), used: 0 };
        match packed {
            Packed::Gzip => Ok(Decoder::Gzip(Box::new(MultiGzDecoder::new(feed)))),
            Packed::Zstd => match zstd::Decoder::with_buffer(feed) {
                Ok(decoder) => Ok(Decoder::Zstd(decoder)),
                Err(e) => fail(CORRUPT, format!("it does not unpack: {e}")),
            },
        }
    }

    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Decoder::Gzip(decoder) => decoder.read(into),
            Decoder::Zstd(decoder) => decoder.read(into),
        }
    }

    fn failed<T>(&self, e: Error) -> Outcome<T> {
        let (name, feed) = match self {
            Decoder::Gzip(decoder) => ("gzip", decoder.get_ref()),
            Decoder::Zstd(decoder) => ("zstd", decoder.get_ref()),
        };
        let at = feed.place();
        let words = e.to_string();
        if words.contains("requires too much memory") {
            return fail(UNSUPPORTED, format!("its {name} window is larger than 128 MiB; pack it again without --long"));
        }
        match e.kind() {
            ErrorKind::UnexpectedEof => fail(CORRUPT, format!("truncated: its {name} data has no end at byte {at} of the file")),
            _ => fail(CORRUPT, format!("its {name} data is damaged before byte {at} of the file: {words}")),
        }
    }
}

struct Window {
    decoder: Decoder,
    start: u64,
    bytes: Vec<u8>,
    over: bool,
}

impl Window {
    fn fill(&mut self) -> Outcome<()> {
        let have = self.bytes.len();
        reserve(&mut self.bytes, STEP_BYTES)?;
        self.bytes.resize(have + STEP_BYTES, 0);
        let read = self.decoder.read(&mut self.bytes[have..]);
        self.bytes.truncate(have + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(n) => self.over = n == 0,
            Err(e) => return self.decoder.failed(e),
        }
        Ok(())
    }
}

pub struct Script {
    source: Arc<Source>,
    packed: Option<Packed>,
    window: RefCell<Option<Window>>,
}

impl Script {
    pub fn new(source: Arc<Source>, packed: Option<Packed>) -> Script {
        Script { source, packed, window: RefCell::new(None) }
    }

    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Behind the end of the text; of what is packed nobody knows.
    pub fn end(&self) -> u64 {
        if self.packed.is_some() { u64::MAX } else { self.source.size() }
    }

    /// Appends up to `len` bytes from `at` on, fewer at the end of the text only.
    pub fn read_more(&self, at: u64, len: usize, out: &mut Vec<u8>) -> Outcome<()> {
        let Some(packed) = self.packed else {
            let len = self.source.size().saturating_sub(at).min(len as u64) as usize;
            return self.source.read_more(at, len, out);
        };
        let mut place = self.window.borrow_mut();
        let mut window = match place.take() {
            Some(window) if window.start <= at => window,
            _ => Window { decoder: Decoder::new(packed, &self.source)?, start: 0, bytes: Vec::new(), over: false },
        };
        loop {
            let unused = (at - window.start).min(window.bytes.len() as u64) as usize;
            window.bytes.drain(..unused);
            window.start += unused as u64;
            if window.over || window.start == at && window.bytes.len() >= len {
                break;
            }
            window.fill()?;
        }
        let some = if window.start == at { window.bytes.len().min(len) } else { 0 };
        reserve(out, some)?;
        out.extend_from_slice(&window.bytes[..some]);
        *place = Some(window);
        Ok(())
    }

    pub fn read(&self, at: u64, len: usize) -> Outcome<Vec<u8>> {
        let mut data = Vec::new();
        self.read_more(at, len, &mut data)?;
        Ok(data)
    }
}
