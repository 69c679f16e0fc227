// SPDX-License-Identifier: Apache-2.0
//! The caller's read function as a source, and what the Parquet reader reads from: a cached tail for the footer, whole column
//! chunks for a row group.
use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::reader::{ChunkReader, Length};

use crate::fail::{fail, Outcome, CORRUPT, NO_MEMORY, OK};
use crate::kept;

/// `ghee_columnar_range`.
#[repr(C)]
pub struct RangeCall {
    offset: u64,
    size_bytes: usize,
    into: *mut u8,
}

/// `ghee_columnar_source`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct SourceCalls {
    ctx: *mut c_void,
    size_bytes: u64,
    read: extern "C" fn(ctx: *mut c_void, offset: u64, size_bytes: usize, into: *mut u8) -> c_int,
    read_many: extern "C" fn(ctx: *mut c_void, ranges: *const RangeCall, n: usize) -> c_int,
}

/// Below it malloc takes from what it has.
const LARGE: u64 = 1 << 20;

/// A crate that is refused memory ends the process. So what it is about to take by the MiB is asked for here, where the lack of it is a
/// failure like any other.
pub fn check_room(bytes: u64) -> Outcome<()> {
    let len = usize::try_from(bytes).unwrap_or(usize::MAX);
    if bytes >= LARGE && !kept::has_room(len) {
        return fail(NO_MEMORY, format!("out of memory for {bytes} bytes of it"));
    }
    Ok(())
}

/// Remembers the status of a failed callback, as the crates' errors keep only words.
pub struct Source {
    calls: SourceCalls,
    failed: AtomicI32,
}

// A Source lives within one call or one running read, and those belong to one thread at a time; the bounds are asked for by
// the crates' traits.
unsafe impl Send for Source {}
unsafe impl Sync for Source {}

impl Source {
    pub fn new(calls: SourceCalls) -> Arc<Source> {
        Arc::new(Source { calls, failed: AtomicI32::new(OK) })
    }

    pub fn size(&self) -> u64 {
        self.calls.size_bytes
    }

    pub fn read(&self, at: u64, len: usize) -> Outcome<Vec<u8>> {
        let mut data = Vec::new();
        self.read_more(at, len, &mut data)?;
        Ok(data)
    }

    /// Appends `len` bytes from `at` to `data`.
    pub fn read_more(&self, at: u64, len: usize, data: &mut Vec<u8>) -> Outcome<()> {
        self.reserve(at, len, data)?;
        if len == 0 {
            return Ok(());
        }
        let have = data.len();
        // read fills all of the reserved bytes when it says OK.
        unsafe {
            self.answered((self.calls.read)(self.calls.ctx, at, len, data.as_mut_ptr().add(have)))?;
            data.set_len(have + len);
        }
        Ok(())
    }

    /// Several ranges (start, end), in one call.
    pub fn read_many(&self, ranges: &[(u64, u64)]) -> Outcome<Vec<Vec<u8>>> {
        let mut all = Vec::with_capacity(ranges.len());
        let mut calls = Vec::with_capacity(ranges.len());
        for (start, end) in ranges {
            let (mut data, len) = (Vec::new(), (end - start) as usize);
            self.reserve(*start, len, &mut data)?;
            calls.push(RangeCall { offset: *start, size_bytes: len, into: data.as_mut_ptr() });
            all.push(data);
        }
        // As in read_more; the memory of a Vec stays where it is when the Vec moves.
        unsafe {
            self.answered((self.calls.read_many)(self.calls.ctx, calls.as_ptr(), calls.len()))?;
            for (data, call) in all.iter_mut().zip(&calls) {
                data.set_len(call.size_bytes);
            }
        }
        Ok(all)
    }

    /// Room for bytes that lie in the file.
    fn reserve(&self, at: u64, len: usize, data: &mut Vec<u8>) -> Outcome<()> {
        if at.checked_add(len as u64).is_none_or(|end| end > self.size()) {
            let size = self.size();
            return fail(CORRUPT, format!("{len} bytes at {at} lie outside of its {size} bytes: truncated or damaged"));
        }
        if data.try_reserve_exact(len).is_err() {
            return fail(NO_MEMORY, format!("out of memory for {len} bytes of it"));
        }
        Ok(())
    }

    fn answered(&self, status: c_int) -> Outcome<()> {
        if status == OK {
            return Ok(());
        }
        self.failed.store(status, Ordering::Relaxed);
        fail(status, "")
    }

    /// The callback's status in place of the words that a crate made of it.
    pub fn settle<T>(&self, outcome: Outcome<T>) -> Outcome<T> {
        match (outcome, self.failed.load(Ordering::Relaxed)) {
            (Err(_), status) if status != OK => fail(status, ""),
            (outcome, _) => outcome,
        }
    }

    /// The last bytes of the file, up to `len`.
    pub fn tail(&self, len: usize) -> Outcome<Bytes> {
        let len = self.size().min(len as u64) as usize;
        Ok(self.read(self.size() - len as u64, len)?.into())
    }
}

/// Pieces of a file in memory; what lies in none of them is read from the file.
pub struct Pieces {
    source: Arc<Source>,
    pieces: Vec<(u64, Bytes)>,
}

/// Ranges with a smaller gap than this are fetched as one, as long as all gaps together are at most 1/16 of what is wanted.
const GAP_BYTES: u64 = 256 << 10;

impl Pieces {
    pub fn tail(source: Arc<Source>, len: usize) -> Outcome<Pieces> {
        let tail = source.tail(len)?;
        let at = source.size() - tail.len() as u64;
        Ok(Pieces { source, pieces: vec![(at, tail)] })
    }

    /// Fetches `ranges` (start, length), neighbours together, all in one call.
    pub fn fetch(source: Arc<Source>, mut ranges: Vec<(u64, u64)>) -> Outcome<Pieces> {
        ranges.sort_unstable();
        let mut spare = ranges.iter().fold(0u64, |sum, (_, len)| sum.saturating_add(*len)) / 16;
        let mut joined: Vec<(u64, u64)> = Vec::new();
        for (start, len) in ranges.into_iter().filter(|(_, len)| *len > 0) {
            let end = start.saturating_add(len);
            match joined.last_mut() {
                Some((_, last)) if start <= last.saturating_add(GAP_BYTES.min(spare)) => {
                    spare -= start.saturating_sub(*last);
                    *last = end.max(*last);
                }
                _ => joined.push((start, end)),
            }
        }
        let read = source.read_many(&joined)?;
        let pieces = joined.iter().zip(read).map(|((start, _), data)| (*start, data.into())).collect();
        Ok(Pieces { source, pieces })
    }

    /// What is in memory of the file from `start` on.
    pub fn find(&self, start: u64) -> Option<Bytes> {
        let (at, piece) = self.pieces.iter().rev().find(|(at, _)| *at <= start)?;
        let skip = start - at;
        (skip < piece.len() as u64).then(|| piece.slice(skip as usize..))
    }
}

impl Length for Pieces {
    fn len(&self) -> u64 {
        self.source.size()
    }
}

impl ChunkReader for Pieces {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        if let Some(piece) = self.find(start) {
            return Ok(piece.reader());
        }
        let len = self.len().saturating_sub(start).min(64 << 10);
        Ok(self.get_bytes(start, len as usize)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        match self.find(start) {
            Some(piece) if piece.len() >= length => Ok(piece.slice(..length)),
            _ => self.source.read(start, length).map(Bytes::from).map_err(|f| ParquetError::EOF(f.text)),
        }
    }
}
