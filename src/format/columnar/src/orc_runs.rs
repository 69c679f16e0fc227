// SPDX-License-Identifier: Apache-2.0
//! The run-length encodings of ORC (orc.apache.org/specification, "Run Length Encoding"): bytes, bits, and both versions of integers.
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder};

use crate::fail::{fail, Outcome, CORRUPT};
use crate::orc_stream::{reserve, Stream};

/// Values are decoded in steps of at most so many, so that memory grows with what the file really holds.
const STEP: usize = 64 << 10;
const MOST_RUN: usize = 512;

pub struct ByteRuns {
    stream: Stream,
    left: usize,
    /// None: the bytes of the run stand in the stream.
    repeated: Option<u8>,
}

impl ByteRuns {
    pub fn new(stream: Stream) -> ByteRuns {
        ByteRuns { stream, left: 0, repeated: None }
    }

    /// Appends `n` bytes.
    pub fn take(&mut self, mut n: usize, out: &mut Vec<u8>) -> Outcome<()> {
        while n > 0 {
            if self.left == 0 {
                let head = self.stream.byte()?;
                if head < 0x80 {
                    self.left = head as usize + 3;
                    self.repeated = Some(self.stream.byte()?);
                } else {
                    self.left = 0x100 - head as usize;
                    self.repeated = None;
                }
            }
            let some = n.min(self.left);
            match self.repeated {
                Some(byte) => {
                    reserve(out, some)?;
                    out.resize(out.len() + some, byte);
                }
                None => self.stream.append(some, out)?,
            }
            self.left -= some;
            n -= some;
        }
        Ok(())
    }
}

/// Bits, the highest of a byte first.
pub struct Bits {
    bytes: ByteRuns,
    /// Bits of `byte` that are still to come.
    left: usize,
    byte: u8,
}

impl Bits {
    pub fn new(stream: Stream) -> Bits {
        Bits { bytes: ByteRuns::new(stream), left: 0, byte: 0 }
    }

    fn some(&mut self, n: usize, out: &mut BooleanBufferBuilder, spare: &mut Vec<u8>) -> Outcome<()> {
        let old = n.min(self.left);
        for i in 0..old {
            out.append(self.byte >> (self.left - 1 - i) & 1 == 1);
        }
        self.left -= old;
        let n = n - old;
        spare.clear();
        self.bytes.take(n.div_ceil(8), spare)?;
        for byte in spare.iter_mut() {
            *byte = byte.reverse_bits();
        }
        out.append_packed_range(0..n, spare);
        if n % 8 != 0 {
            self.byte = spare[n / 8].reverse_bits();
            self.left = 8 - n % 8;
        }
        Ok(())
    }

    pub fn take(&mut self, mut n: usize) -> Outcome<BooleanBuffer> {
        let mut out = BooleanBufferBuilder::new(n.min(STEP));
        let mut spare = Vec::new();
        while n > 0 {
            let some = n.min(STEP);
            self.some(some, &mut out, &mut spare)?;
            n -= some;
        }
        Ok(out.finish())
    }
}

pub struct Ints {
    stream: Stream,
    second: bool,
    signed: bool,
    run: Vec<i64>,
    at: usize,
}

fn unzigzag(n: u64) -> i64 {
    (n >> 1) as i64 ^ -((n & 1) as i64)
}

/// The width of bits that a code of five bits stands for.
fn width_of(code: u8) -> usize {
    match code {
        0..=23 => code as usize + 1,
        24 => 26,
        25 => 28,
        26 => 30,
        27 => 32,
        28 => 40,
        29 => 48,
        30 => 56,
        _ => 64,
    }
}

/// The least of those widths that holds `bits`.
fn fitting(bits: usize) -> usize {
    (0..32).map(width_of).find(|width| *width >= bits).unwrap_or(64)
}

impl Ints {
    pub fn new(stream: Stream, second: bool, signed: bool) -> Ints {
        Ints { stream, second, signed, run: Vec::with_capacity(MOST_RUN), at: 0 }
    }

    /// Appends `n` numbers, as `as_value` makes them; None of it: the column's type does not hold the number.
    pub fn take<T>(&mut self, mut n: usize, out: &mut Vec<T>, as_value: impl Fn(i64) -> Option<T>) -> Outcome<()> {
        while n > 0 {
            if self.at == self.run.len() {
                self.at = 0;
                self.run.clear();
                if self.second { self.second_version() } else { self.first_version() }?;
            }
            let some = n.min(self.run.len() - self.at);
            reserve(out, some)?;
            for number in &self.run[self.at..self.at + some] {
                let Some(value) = as_value(*number) else { return fail(CORRUPT, format!("the number {number} is beyond its type")) };
                out.push(value);
            }
            self.at += some;
            n -= some;
        }
        Ok(())
    }

    fn number(&mut self) -> Outcome<i64> {
        let number = self.stream.varint()?;
        Ok(if self.signed { unzigzag(number) } else { number as i64 })
    }

    fn first_version(&mut self) -> Outcome<()> {
        let head = self.stream.byte()?;
        if head < 0x80 {
            let step = i64::from(self.stream.byte()? as i8);
            let base = self.number()?;
            self.run.extend((0..i64::from(head) + 3).map(|i| base.wrapping_add(i.wrapping_mul(step))));
        } else {
            for _ in 0..0x100 - head as usize {
                let number = self.number()?;
                self.run.push(number);
            }
        }
        Ok(())
    }

    fn second_version(&mut self) -> Outcome<()> {
        let head = self.stream.byte()?;
        if head >> 6 == 0 {
            let value = self.big_endian((head >> 3 & 7) as usize + 1)?;
            let value = if self.signed { unzigzag(value) } else { value as i64 };
            self.run.resize((head & 7) as usize + 3, value);
            return Ok(());
        }
        let code = head >> 1 & 31;
        let len = (usize::from(head & 1) << 8 | usize::from(self.stream.byte()?)) + 1;
        match head >> 6 {
            1 => self.direct(width_of(code), len),
            2 => self.patched(width_of(code), len),
            _ => self.delta(if code == 0 { 0 } else { width_of(code) }, len),
        }
    }

    fn big_endian(&mut self, bytes: usize) -> Outcome<u64> {
        Ok(self.stream.take(bytes)?.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    /// Appends `len` numbers of `width` bits, packed from the highest bit on.
    fn unpack(&mut self, width: usize, len: usize) -> Outcome<()> {
        let mut packed = [0u8; MOST_RUN * 8 + 8];
        let bytes = (width * len).div_ceil(8);
        packed[..bytes].copy_from_slice(self.stream.take(bytes)?);
        self.run.extend((0..len).map(|i| {
            let bit = i * width;
            let mut word = [0u8; 8];
            word.copy_from_slice(&packed[bit / 8..bit / 8 + 8]);
            // No width but 64 passes 56, so seven bits in front leave room for it.
            (u64::from_be_bytes(word) << (bit % 8) >> (64 - width)) as i64
        }));
        Ok(())
    }

    fn direct(&mut self, width: usize, len: usize) -> Outcome<()> {
        self.unpack(width, len)?;
        if self.signed {
            self.run.iter_mut().for_each(|n| *n = unzigzag(*n as u64));
        }
        Ok(())
    }

    fn patched(&mut self, width: usize, len: usize) -> Outcome<()> {
        let (third, fourth) = (self.stream.byte()?, self.stream.byte()?);
        let base_bytes = usize::from(third >> 5) + 1;
        let (patch_width, gap_width) = (width_of(third & 31), usize::from(fourth >> 5) + 1);
        if patch_width + gap_width > 64 {
            return fail(CORRUPT, "a patched run with patches of more than 64 bits");
        }
        let base = self.big_endian(base_bytes)?;
        let sign = 1u64 << (base_bytes * 8 - 1);
        let base = if base & sign != 0 { ((base & !sign) as i64).wrapping_neg() } else { base as i64 };
        self.unpack(width, len)?;
        self.unpack(fitting(patch_width + gap_width), usize::from(fourth & 31))?;
        let mut at = 0usize;
        for i in len..self.run.len() {
            let entry = self.run[i] as u64;
            let (gap, patch) = (entry >> patch_width, entry & (u64::MAX >> (64 - patch_width)));
            at = at.saturating_add(gap as usize);
            if at >= len {
                return fail(CORRUPT, "a patch behind the end of its run");
            }
            // Nothing but a longer gap where the patch is 0.
            if patch != 0 && (width == 64 || patch << width >> width != patch) {
                return fail(CORRUPT, "a patched run with numbers of more than 64 bits");
            }
            self.run[at] |= (patch << (width % 64)) as i64;
        }
        self.run.truncate(len);
        self.run.iter_mut().for_each(|n| *n = n.wrapping_add(base));
        Ok(())
    }

    fn delta(&mut self, width: usize, len: usize) -> Outcome<()> {
        let base = self.number()?;
        let step = unzigzag(self.stream.varint()?);
        if width == 0 {
            self.run.extend((0..len as i64).map(|i| base.wrapping_add(i.wrapping_mul(step))));
            return Ok(());
        }
        self.run.push(base);
        self.run.push(base.wrapping_add(step));
        self.unpack(width, len.saturating_sub(2))?;
        for i in 2..self.run.len() {
            let (before, by) = (self.run[i - 1], self.run[i]);
            self.run[i] = if step < 0 { before.wrapping_sub(by) } else { before.wrapping_add(by) };
        }
        self.run.truncate(len);
        Ok(())
    }
}
