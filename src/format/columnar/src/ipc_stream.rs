// SPDX-License-Identifier: Apache-2.0
//! Arrow IPC streams: the blocks of their messages, found by walking from head to head, as the footer names them in a file.
use std::collections::HashSet;

use arrow_ipc::{Block, MessageHeader, MetadataVersion};

use crate::fail::{fail, Outcome, CORRUPT, UNSUPPORTED};
use crate::ipc_file::message_of;
use crate::source::Source;

const MARK: [u8; 4] = [0xff; 4];
/// A first message longer than this does not make a stream of bytes that do not say so by the mark.
const MOST_HEAD_BYTES: u64 = 16 << 20;

pub struct Stream {
    /// The message of the schema.
    pub head: Vec<u8>,
    pub version: MetadataVersion,
    pub dictionaries: Vec<Block>,
    pub batches: Vec<Block>,
}

/// Whether the source begins as streams do: with the mark, or, written before Arrow 0.15, with the length of a schema's message.
pub fn begins(source: &Source) -> Outcome<bool> {
    let start = source.read(0, source.size().min(4) as usize)?;
    let Some(first) = start.first_chunk::<4>() else { return Ok(false) };
    let len = u64::from(u32::from_le_bytes(*first));
    if *first == MARK {
        return Ok(true);
    }
    if len < 8 || len > MOST_HEAD_BYTES || len + 4 > source.size() {
        return Ok(false);
    }
    let head = source.read(0, len as usize + 4)?;
    Ok(message_of(&head).is_ok_and(|message| message.header_type() == MessageHeader::Schema))
}

/// The message at `at`, and its place; None at the end, which a length of 0 or the end of the source marks.
fn message_at(source: &Source, at: u64) -> Outcome<Option<(Block, Vec<u8>)>> {
    let left = source.size() - at;
    if left == 0 {
        return Ok(None);
    }
    let start = source.read(at, left.clamp(4, 8) as usize)?;
    let mark = if start.starts_with(&MARK) { 4 } else { 0 };
    let Some(len) = start.get(mark..mark + 4).and_then(|len| len.first_chunk::<4>()) else {
        return fail(CORRUPT, format!("truncated: the message at {at} has no length"));
    };
    let len = i32::from_le_bytes(*len);
    if len == 0 {
        return Ok(None);
    }
    if !(4..=i32::MAX - 8).contains(&len) {
        return fail(CORRUPT, format!("the message at {at} claims a head of {len} bytes"));
    }
    let head = source.read(at, mark + 4 + len as usize)?;
    let body = message_of(&head)?.bodyLength();
    let left = left - head.len() as u64;
    if u64::try_from(body).is_ok_and(|body| body <= left) {
        return Ok(Some((Block::new(at as i64, head.len() as i32, body), head)));
    }
    fail(CORRUPT, format!("the message at {at} claims a body of {body} bytes; {left} follow: truncated or damaged"))
}

fn end_of(block: &Block) -> u64 {
    block.offset() as u64 + block.metaDataLength() as u64 + block.bodyLength() as u64
}

pub fn walk(source: &Source) -> Outcome<Stream> {
    let Some((first, head)) = message_at(source, 0)? else {
        return fail(CORRUPT, "an Arrow IPC stream without a schema");
    };
    let message = message_of(&head)?;
    if message.header_type() != MessageHeader::Schema {
        return fail(CORRUPT, format!("an Arrow IPC stream that begins with {:?}, not with its schema", message.header_type()));
    }
    let version = message.version();
    let mut stream = Stream { version, head, dictionaries: Vec::new(), batches: Vec::new() };
    let (mut at, mut known) = (end_of(&first), HashSet::new());
    while let Some((block, head)) = message_at(source, at)? {
        at = end_of(&block);
        let message = message_of(&head)?;
        match message.header_type() {
            MessageHeader::RecordBatch => stream.batches.push(block),
            MessageHeader::DictionaryBatch => {
                let dictionary = message.header_as_dictionary_batch();
                let replaced = dictionary.filter(|d| !d.isDelta() && !known.insert(d.id()));
                if let Some(replaced) = replaced {
                    return fail(UNSUPPORTED, format!("its dictionary {} is replaced at {}; write it without dictionaries", replaced.id(), block.offset()));
                }
                stream.dictionaries.push(block);
            }
            other => return fail(CORRUPT, format!("the message at {} is {other:?}, neither a batch nor a dictionary", block.offset())),
        }
    }
    Ok(stream)
}
