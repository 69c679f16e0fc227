// SPDX-License-Identifier: Apache-2.0
//! A walk over Thrift's compact encoding (github.com/apache/thrift, doc/specs/thrift-compact-protocol.md): the parts of a Parquet file that must be
//! looked at before the crate believes them. None: the bytes are no such encoding.

/// Deeper than any real structure, far from what fills a thread's stack.
pub const MAX_DEPTH: usize = 128;

pub const LIST: u8 = 9;
const SET: u8 = 10;
const MAP: u8 = 11;
pub const STRUCT: u8 = 12;

pub struct Walk<'a> {
    pub rest: &'a [u8],
}

impl Walk<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn bytes(&mut self, n: u64) -> Option<()> {
        self.rest = self.rest.get(usize::try_from(n).ok()?..)?;
        Some(())
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    pub fn zigzag(&mut self) -> Option<i64> {
        self.varint().map(|n| (n >> 1) as i64 ^ -((n & 1) as i64))
    }

    /// The next field of a struct as (id, type); None inside at its end.
    pub fn field(&mut self, last: i16) -> Option<Option<(i16, u8)>> {
        let head = self.byte()?;
        if head == 0 {
            return Some(None);
        }
        let id = match head >> 4 {
            0 => self.zigzag()? as i16,
            step => last.wrapping_add(i16::from(step)),
        };
        Some(Some((id, head & 15)))
    }

    pub fn list(&mut self) -> Option<(u64, u8)> {
        let head = self.byte()?;
        let size = if head >> 4 == 15 { self.varint()? } else { u64::from(head >> 4) };
        Some((size, head & 15))
    }

    /// Booleans stand in the field's type, but take a byte in a list.
    pub fn skip(&mut self, kind: u8, in_list: bool, depth: usize) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        match kind {
            1 | 2 => self.bytes(u64::from(in_list)),
            3 => self.bytes(1),
            4..=6 => self.varint().map(|_| ()),
            7 => self.bytes(8),
            8 => self.varint().and_then(|n| self.bytes(n)),
            LIST | SET => {
                let (size, inner) = self.list()?;
                (0..size).try_for_each(|_| self.skip(inner, true, depth + 1))
            }
            MAP => {
                let size = self.varint()?;
                let kinds = if size > 0 { self.byte()? } else { 0 };
                (0..size).try_for_each(|_| {
                    self.skip(kinds >> 4, true, depth + 1)?;
                    self.skip(kinds & 15, true, depth + 1)
                })
            }
            STRUCT => {
                let mut last = 0;
                while let Some((id, inner)) = self.field(last)? {
                    self.skip(inner, false, depth + 1)?;
                    last = id;
                }
                Some(())
            }
            _ => None,
        }
    }
}
