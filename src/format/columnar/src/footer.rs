// SPDX-License-Identifier: Apache-2.0
//! How deep the schema in a Parquet footer is nested, found by walking its Thrift compact encoding
//! (github.com/apache/thrift, doc/specs/thrift-compact-protocol.md; fields as in parquet.thrift). The crate builds the
//! schema by recursion, so a footer made for it overflows the stack: depth must be known before.

/// Deeper than any real schema, far from what fills a thread's stack.
pub const MAX_DEPTH: usize = 128;

const SCHEMA_FIELD: i16 = 2; // FileMetaData.schema
const CHILDREN_FIELD: i16 = 5; // SchemaElement.num_children
const LIST: u8 = 9;
const SET: u8 = 10;
const MAP: u8 = 11;
const STRUCT: u8 = 12;

struct Walk<'a> {
    rest: &'a [u8],
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

    fn zigzag(&mut self) -> Option<i64> {
        self.varint().map(|n| (n >> 1) as i64 ^ -((n & 1) as i64))
    }

    /// The next field of a struct as (id, type); None inside at its end.
    fn field(&mut self, last: i16) -> Option<Option<(i16, u8)>> {
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

    fn list(&mut self) -> Option<(u64, u8)> {
        let head = self.byte()?;
        let size = if head >> 4 == 15 { self.varint()? } else { u64::from(head >> 4) };
        Some((size, head & 15))
    }

    /// Booleans stand in the field's type, but take a byte in a list.
    fn skip(&mut self, kind: u8, in_list: bool, depth: usize) -> Option<()> {
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

    fn children(&mut self) -> Option<u64> {
        let (mut last, mut children) = (0, 0);
        while let Some((id, kind)) = self.field(last)? {
            match (id, kind) {
                (CHILDREN_FIELD, 4..=6) => children = u64::try_from(self.zigzag()?).ok()?,
                _ => self.skip(kind, false, 0)?,
            }
            last = id;
        }
        Some(children)
    }

    fn depth_of_list(&mut self) -> Option<usize> {
        let (size, _) = self.list()?;
        let (mut open, mut deepest) = (Vec::new(), 0);
        for _ in 0..size {
            let children = self.children()?;
            while open.last() == Some(&0u64) {
                open.pop();
            }
            if let Some(left) = open.last_mut() {
                *left -= 1;
            }
            open.push(children);
            deepest = deepest.max(open.len());
            if deepest > MAX_DEPTH {
                break;
            }
        }
        Some(deepest)
    }
}

/// None when the footer does not parse: then the crate, which parses it as well, says so better.
pub fn depth(footer: &[u8]) -> Option<usize> {
    let (mut walk, mut last) = (Walk { rest: footer }, 0);
    while let Some((id, kind)) = walk.field(last)? {
        if id == SCHEMA_FIELD && kind == LIST {
            return walk.depth_of_list();
        }
        walk.skip(kind, false, 0)?;
        last = id;
    }
    None
}
