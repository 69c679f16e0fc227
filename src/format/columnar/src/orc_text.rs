// SPDX-License-Identifier: Apache-2.0
//! Texts and bytes of ORC: one behind the other, or places in a dictionary of the stripe.
use std::str::from_utf8;
use std::sync::Arc;

use arrow_array::{ArrayRef, BinaryArray, StringArray};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer};
use arrow_schema::DataType;

use crate::fail::{fail, Outcome, CORRUPT};
use crate::orc_column::{length, offsets, Streams, DATA, DICTIONARY_DATA, LENGTH};
use crate::orc_runs::Ints;
use crate::orc_stream::{reserve, Stream};
use crate::orc_types::Node;
use crate::source::check_room;

pub struct Text {
    values: Values,
    binary: bool,
}

enum Values {
    Direct(Ints, Stream),
    Dictionary(Ints, Dictionary),
}

struct Dictionary {
    bytes: Vec<u8>,
    /// Where each entry begins, and where the last one ends.
    starts: Vec<usize>,
}

const NOT_UTF8: &str = "a text is not UTF-8";

impl Dictionary {
    fn open(node: &Node, from: &Streams, size: u64) -> Outcome<Dictionary> {
        let (mut lengths, mut starts, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
        from.ints(node, LENGTH, false)?.take(usize::try_from(size).unwrap_or(usize::MAX), &mut lengths, length)?;
        reserve(&mut starts, lengths.len() + 1)?;
        let mut end = 0usize;
        starts.push(end);
        for length in lengths {
            end = end.saturating_add(length as usize);
            starts.push(end);
        }
        from.stream(node, DICTIONARY_DATA).append(end, &mut bytes)?;
        let dictionary = Dictionary { bytes, starts };
        if node.data_type == DataType::Utf8 {
            dictionary.check()?;
        }
        Ok(dictionary)
    }

    fn check(&self) -> Outcome<()> {
        match from_utf8(&self.bytes) {
            Ok(text) if self.starts.iter().all(|at| text.is_char_boundary(*at)) => Ok(()),
            _ => fail(CORRUPT, NOT_UTF8),
        }
    }

    fn entry(&self, key: usize) -> &[u8] {
        &self.bytes[self.starts[key]..self.starts[key + 1]]
    }

    fn values(&self, keys: &mut Ints, n: usize, m: usize, valid: Option<&NullBuffer>) -> Outcome<(OffsetBuffer<i32>, Vec<u8>)> {
        let (mut places, mut lengths, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
        let entries = self.starts.len() - 1;
        keys.take(m, &mut places, |key| usize::try_from(key).ok().filter(|key| *key < entries))?;
        reserve(&mut lengths, m)?;
        lengths.extend(places.iter().map(|key| self.entry(*key).len() as i32));
        let offsets = offsets(&lengths, n, valid)?;
        let total = offsets.last();
        check_room(total as u64)?;
        reserve(&mut bytes, total as usize)?;
        places.iter().for_each(|key| bytes.extend_from_slice(self.entry(*key)));
        Ok((offsets, bytes))
    }
}

impl Text {
    pub fn open(node: &Node, from: &Streams) -> Outcome<Text> {
        let encoding = from.encoding(node)?;
        let values = match encoding.kind {
            0 | 2 => Values::Direct(from.ints(node, LENGTH, false)?, from.stream(node, DATA)),
            _ => Values::Dictionary(from.ints(node, DATA, false)?, Dictionary::open(node, from, encoding.dictionary_size)?),
        };
        Ok(Text { values, binary: node.data_type == DataType::Binary })
    }

    /// `n` rows, `m` of them with a value.
    pub fn next(&mut self, n: usize, m: usize, valid: Option<NullBuffer>) -> Outcome<ArrayRef> {
        let (offsets, bytes, checked) = match &mut self.values {
            Values::Direct(lengths, stream) => {
                let (mut all, mut bytes) = (Vec::new(), Vec::new());
                lengths.take(m, &mut all, length)?;
                let offsets = offsets(&all, n, valid.as_ref())?;
                stream.append(offsets.last() as usize, &mut bytes)?;
                (offsets, bytes, false)
            }
            Values::Dictionary(keys, dictionary) => {
                let (offsets, bytes) = dictionary.values(keys, n, m, valid.as_ref())?;
                (offsets, bytes, true)
            }
        };
        let bytes = Buffer::from_vec(bytes);
        if self.binary {
            return Ok(Arc::new(BinaryArray::try_new(offsets, bytes, valid)?));
        }
        if checked {
            // Whole entries of a dictionary whose every entry is UTF-8.
            return Ok(Arc::new(unsafe { StringArray::new_unchecked(offsets, bytes, valid) }));
        }
        match StringArray::try_new(offsets, bytes, valid) {
            Ok(array) => Ok(Arc::new(array)),
            Err(_) => fail(CORRUPT, NOT_UTF8),
        }
    }
}
