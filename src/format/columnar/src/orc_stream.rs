// SPDX-License-Identifier: Apache-2.0
//! A stream of an ORC file: blocks, each packed by itself, behind three bytes that tell its length and whether it is packed
//! (orc.apache.org/specification, "Compression"). One unpacked block is held at a time.
use bytes::Bytes;
use flate2::{Decompress, FlushDecompress, Status};
use zstd::bulk::Decompressor;

use crate::fail::{fail, Outcome, CORRUPT, NO_MEMORY};

#[derive(Clone, Copy, PartialEq)]
pub enum Codec {
    None,
    Zlib,
    Snappy,
    Lz4,
    Zstd,
}

/// The three bytes hold no longer one.
pub const MOST_BLOCK_BYTES: u64 = 1 << 23;

/// How the streams of a file are packed.
#[derive(Clone, Copy)]
pub struct Packing {
    pub codec: Codec,
    /// No block unpacks to more.
    pub block_bytes: usize,
}

pub struct Stream {
    packing: Packing,
    packed: Bytes,
    /// The block at hand: `own` if it was unpacked.
    block: Bytes,
    own: Vec<u8>,
    in_own: bool,
    end: usize,
    at: usize,
    /// What lies across the ends of blocks, put together.
    joined: Vec<u8>,
    /// Kept from block to block, as they are large.
    zlib: Option<Decompress>,
    zstd: Option<Decompressor<'static>>,
}

/// Room for `n` more; what memory does not hold is a failure and no end of the process.
pub fn reserve<T>(vec: &mut Vec<T>, n: usize) -> Outcome<()> {
    match vec.try_reserve(n) {
        Ok(()) => Ok(()),
        Err(_) => fail(NO_MEMORY, format!("out of memory for {n} values of it")),
    }
}

fn inflate(zlib: &mut Decompress, packed: &[u8], into: &mut [u8]) -> Option<usize> {
    zlib.reset(false);
    match zlib.decompress(packed, into, FlushDecompress::Finish) {
        Ok(Status::StreamEnd) => Some(zlib.total_out() as usize),
        _ => None,
    }
}

impl Stream {
    pub fn new(packing: Packing, packed: Bytes) -> Stream {
        let (block, own, joined) = (Bytes::new(), Vec::new(), Vec::new());
        let mut stream = Stream { packing, packed, block, own, in_own: false, end: 0, at: 0, joined, zlib: None, zstd: None };
        if packing.codec == Codec::None {
            stream.block = std::mem::take(&mut stream.packed);
            stream.end = stream.block.len();
        }
        stream
    }

    fn rest(&self) -> &[u8] {
        if self.in_own {
            &self.own[self.at..self.end]
        } else {
            &self.block[self.at..self.end]
        }
    }

    /// The next block that is not empty; false at the end.
    fn load(&mut self) -> Outcome<bool> {
        while !self.packed.is_empty() {
            if self.packed.len() < 3 {
                return fail(CORRUPT, "a stream ends inside of a block's head");
            }
            let head = self.packed.split_to(3);
            let head = u32::from(head[0]) | u32::from(head[1]) << 8 | u32::from(head[2]) << 16;
            let len = (head >> 1) as usize;
            if len > self.packed.len() {
                return fail(CORRUPT, format!("a block claims {len} of the {} bytes left of its stream", self.packed.len()));
            }
            let block = self.packed.split_to(len);
            self.at = 0;
            self.in_own = head & 1 == 0;
            if self.in_own {
                self.end = self.unpack(&block)?;
            } else {
                self.end = block.len();
                self.block = block;
            }
            if self.end > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn unpack(&mut self, packed: &[u8]) -> Outcome<usize> {
        if self.own.is_empty() {
            reserve(&mut self.own, self.packing.block_bytes)?;
            self.own.resize(self.packing.block_bytes, 0);
        }
        let into = &mut self.own[..];
        let unpacked = match self.packing.codec {
            Codec::None => None,
            Codec::Zlib => inflate(self.zlib.get_or_insert_with(|| Decompress::new(false)), packed, into),
            Codec::Snappy => snap::raw::Decoder::new().decompress(packed, into).ok(),
            Codec::Lz4 => lz4_flex::block::decompress_into(packed, into).ok(),
            Codec::Zstd => self.zstd.take().or_else(|| Decompressor::new().ok()).and_then(|mut zstd| {
                let unpacked = zstd.decompress_to_buffer(packed, into).ok();
                self.zstd = Some(zstd);
                unpacked
            }),
        };
        match unpacked {
            Some(n) => Ok(n),
            None => fail(CORRUPT, format!("a block of {} bytes does not unpack to at most {}", packed.len(), self.packing.block_bytes)),
        }
    }

    fn more(&mut self) -> Outcome<()> {
        match self.load()? {
            true => Ok(()),
            false => fail(CORRUPT, "a stream ends before its values do"),
        }
    }

    pub fn byte(&mut self) -> Outcome<u8> {
        if self.at == self.end {
            self.more()?;
        }
        let byte = self.rest()[0];
        self.at += 1;
        Ok(byte)
    }

    /// The next `n` bytes in one piece; for few.
    pub fn take(&mut self, n: usize) -> Outcome<&[u8]> {
        if self.end - self.at < n {
            let mut joined = std::mem::take(&mut self.joined);
            joined.clear();
            self.append(n, &mut joined)?;
            self.joined = joined;
            return Ok(&self.joined);
        }
        let from = self.at;
        self.at += n;
        Ok(if self.in_own { &self.own[from..from + n] } else { &self.block[from..from + n] })
    }

    /// The next `n` bytes, put behind what is in `out`, which grows no faster than the stream gives them.
    pub fn append(&mut self, mut n: usize, out: &mut Vec<u8>) -> Outcome<()> {
        while n > 0 {
            if self.at == self.end {
                self.more()?;
            }
            let some = n.min(self.end - self.at);
            reserve(out, some)?;
            out.extend_from_slice(&self.rest()[..some]);
            self.at += some;
            n -= some;
        }
        Ok(())
    }

    /// All that is left, at most `most` bytes.
    pub fn all(mut self, most: usize) -> Outcome<Vec<u8>> {
        let mut out = Vec::new();
        while self.at < self.end || self.load()? {
            if out.len() + self.end - self.at > most {
                return fail(CORRUPT, format!("it unpacks to more than {most} bytes"));
            }
            self.append(self.end - self.at, &mut out)?;
        }
        Ok(out)
    }

    pub fn varint(&mut self) -> Outcome<u64> {
        let first = self.byte()?;
        let mut value = u64::from(first & 0x7f);
        let (mut last, mut shift) = (first, 7);
        while last & 0x80 != 0 {
            if shift > 63 {
                return fail(CORRUPT, "a number of more than 64 bits");
            }
            last = self.byte()?;
            value |= u64::from(last & 0x7f) << shift;
            shift += 7;
        }
        Ok(value)
    }

    /// Of the digits of a decimal.
    pub fn wide(&mut self) -> Outcome<i128> {
        let (mut value, mut shift) = (0u128, 0);
        loop {
            let byte = self.byte()?;
            if shift > 126 {
                return fail(CORRUPT, "a decimal of more than 128 bits");
            }
            value |= u128::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                return Ok((value >> 1) as i128 ^ -((value & 1) as i128));
            }
        }
    }
}
