// SPDX-License-Identifier: Apache-2.0
//! Arrow IPC files and streams: a part is a record batch, read as one block and handed out in slices that share its memory.
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_buffer::{Buffer, MutableBuffer};
use arrow_ipc::convert::try_fb_to_schema;
use arrow_ipc::reader::{read_footer_length, FileDecoder};
use arrow_ipc::{root_as_footer, root_as_message, Block, Message, MetadataVersion};
use arrow_schema::SchemaRef;

use crate::fail::{fail, Fail, Outcome, CORRUPT, INVALID, UNSUPPORTED};
use crate::file::{Batches, File, Part, ReadOptions};
use crate::ipc_stream;
use crate::source::{check_room, Source};
use crate::types;

/// One read gets the footer of most files.
const TAIL_BYTES: usize = 64 << 10;
/// zstd packs at most a block of 128 KiB into three bytes.
const MOST_RATIO: usize = 64 << 10;
/// Guessed for the memory of a compressed part.
const USUAL_RATIO: u64 = 3;

pub struct IpcFile {
    decoder: Arc<FileDecoder>,
    blocks: Vec<Block>,
    schema: SchemaRef,
    batch_rows: usize,
}

fn check_magic(source: &Source) -> Outcome<()> {
    let head = source.read(0, source.size().min(8) as usize)?;
    if head.starts_with(b"FEA1") {
        return fail(UNSUPPORTED, "a Feather file of version 1; write it again as Arrow IPC (Feather version 2)");
    }
    if source.size() < 18 || !head.starts_with(b"ARROW1") {
        return fail(CORRUPT, "neither a file nor a stream of Arrow IPC: it begins with neither ARROW1 nor a schema");
    }
    Ok(())
}

/// The footer's bytes.
fn read_footer(source: &Source) -> Outcome<Vec<u8>> {
    let tail = source.tail(TAIL_BYTES)?;
    let mut trailer = [0u8; 10];
    trailer.copy_from_slice(&tail[tail.len() - 10..]);
    if &trailer[4..] != b"ARROW1" {
        return fail(CORRUPT, "truncated: it does not end in ARROW1");
    }
    let len = read_footer_length(trailer)?;
    if len as u64 > source.size() - 18 {
        return fail(CORRUPT, format!("its footer claims {len} of its {} bytes", source.size()));
    }
    if len <= tail.len() - 10 {
        return Ok(tail[tail.len() - 10 - len..tail.len() - 10].to_vec());
    }
    source.read(source.size() - 10 - len as u64, len)
}

fn read_block(source: &Source, block: &Block) -> Outcome<Buffer> {
    let (at, len) = range_of(block, source)?;
    // Aligned, so that the arrays can point into it.
    let mut buffer = MutableBuffer::new(0);
    let bytes = source.read(at, len)?;
    check_room(len as u64)?;
    buffer.extend_from_slice(&bytes);
    Ok(buffer.into())
}

fn range_of(block: &Block, source: &Source) -> Outcome<(u64, usize)> {
    let parts = (u64::try_from(block.offset()), u64::try_from(block.metaDataLength()), u64::try_from(block.bodyLength()));
    if let (Ok(at), Ok(head), Ok(body)) = parts {
        let end = at.checked_add(head).and_then(|x| x.checked_add(body));
        if head >= 8 && end.is_some_and(|end| end <= source.size()) {
            return Ok((at, (head + body) as usize));
        }
    }
    let size = source.size();
    fail(CORRUPT, format!("its block at {} lies outside of its {size} bytes", block.offset()))
}

/// The message in front of a block's body.
pub fn message_of(block: &[u8]) -> Outcome<Message<'_>> {
    let skip = if block.starts_with(&[0xff, 0xff, 0xff, 0xff]) { 8 } else { 4 };
    root_as_message(&block[skip..]).map_err(|e| Fail { status: CORRUPT, text: format!("the head of a block: {e}") })
}

/// A compressed buffer begins with the length that it claims to have unpacked, and the crate reserves that much without
/// asking: what no codec could reach, and what memory cannot hold, is refused here.
fn check_claims(data: &[u8], body_at: usize, batch: &arrow_ipc::RecordBatch) -> Outcome<()> {
    if batch.compression().is_none() {
        return Ok(());
    }
    let mut all = 0u64;
    for buffer in batch.buffers().iter().flatten() {
        let (Ok(at), Ok(len)) = (usize::try_from(buffer.offset()), usize::try_from(buffer.length())) else { continue };
        let packed = data.get(at.saturating_add(body_at)..).and_then(|body| body.get(..len));
        let Some(claim) = packed.and_then(|packed| packed.first_chunk::<8>()) else { continue };
        let claim = i64::from_le_bytes(*claim);
        let most = i64::try_from(len.saturating_mul(MOST_RATIO)).unwrap_or(i64::MAX);
        if claim > most {
            return fail(CORRUPT, format!("a compressed buffer claims to hold {claim} bytes"));
        }
        all = all.saturating_add(claim.max(0) as u64);
    }
    check_room(all)
}

fn checked<'a>(buffer: &'a Buffer, block: &Block) -> Outcome<&'a Buffer> {
    let message = message_of(buffer)?;
    let batch = message.header_as_record_batch().or_else(|| message.header_as_dictionary_batch().and_then(|d| d.data()));
    if let Some(batch) = batch {
        check_claims(buffer, block.metaDataLength() as usize, &batch)?;
    }
    Ok(buffer)
}

impl IpcFile {
    pub fn open(source: Arc<Source>, options: &ReadOptions) -> Outcome<IpcFile> {
        if ipc_stream::begins(&source)? {
            return IpcFile::open_stream(source, options);
        }
        check_magic(&source)?;
        let data = read_footer(&source)?;
        let corrupt = |what: String| Fail { status: CORRUPT, text: format!("its footer: {what}") };
        let footer = root_as_footer(&data).map_err(|e| corrupt(e.to_string()))?;
        let schema = footer.schema().ok_or_else(|| corrupt("no schema".into()))?;
        let dictionaries: Vec<Block> = footer.dictionaries().iter().flatten().copied().collect();
        let batches = footer.recordBatches().map(|all| all.iter().copied().collect()).unwrap_or_default();
        IpcFile::of_blocks(&source, options, schema, footer.version(), &dictionaries, batches)
    }

    fn open_stream(source: Arc<Source>, options: &ReadOptions) -> Outcome<IpcFile> {
        let stream = ipc_stream::walk(&source)?;
        let Some(schema) = message_of(&stream.head)?.header_as_schema() else {
            return fail(CORRUPT, "an Arrow IPC stream without a schema");
        };
        IpcFile::of_blocks(&source, options, schema, stream.version, &stream.dictionaries, stream.batches)
    }

    fn of_blocks(
        source: &Source, options: &ReadOptions, schema: arrow_ipc::Schema, version: MetadataVersion, dictionaries: &[Block], blocks: Vec<Block>,
    ) -> Outcome<IpcFile> {
        if !schema.endianness().equals_to_target_endianness() {
            return fail(UNSUPPORTED, "it is big-endian");
        }
        let in_file = Arc::new(try_fb_to_schema(schema).map_err(|e| Fail::from(e).before("its schema"))?);
        types::refuse_unions(&in_file)?;
        let wanted = types::indices_of(&in_file, options.columns.as_deref())?;
        let schema = Arc::new(types::map_schema(&in_file, &types::plain).project(&wanted)?);
        let mut decoder = FileDecoder::new(in_file, version).with_projection(wanted);
        for block in dictionaries {
            let buffer = read_block(source, block)?;
            decoder.read_dictionary(block, checked(&buffer, block)?).map_err(|e| Fail::from(e).before("a dictionary"))?;
        }
        Ok(IpcFile { decoder: Arc::new(decoder), blocks, schema, batch_rows: options.batch_rows })
    }

    fn part(&self, index: usize, block: &Block, source: &Source) -> Outcome<Part> {
        let (offset, len) = range_of(block, source)?;
        let head = source.read(offset, block.metaDataLength() as usize)?;
        let Some(batch) = message_of(&head)?.header_as_record_batch().filter(|batch| batch.length() >= 0) else {
            return fail(CORRUPT, format!("the block at {offset} is no record batch"));
        };
        let size_bytes = len as u64;
        let memory_bytes = size_bytes.saturating_mul(if batch.compression().is_some() { USUAL_RATIO } else { 1 });
        Ok(Part { index: index as u32, offset, size_bytes, rows: batch.length(), memory_bytes })
    }
}

impl File for IpcFile {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn parts(&self, source: &Source, _: u64, each: &mut dyn FnMut(Part) -> Outcome<()>) -> Outcome<()> {
        for (index, block) in self.blocks.iter().enumerate() {
            let part = self.part(index, block, source)?;
            if part.rows > 0 {
                each(part)?;
            }
        }
        Ok(())
    }

    fn read(&self, source: Arc<Source>, part: Part, skip_rows: usize) -> Outcome<Box<dyn Batches>> {
        let Some(block) = self.blocks.get(part.index as usize) else {
            return fail(INVALID, format!("there is no record batch {}", part.index));
        };
        let buffer = read_block(&source, block)?;
        let what = format!("record batch {}", part.index);
        let batch = self.decoder.read_record_batch(block, checked(&buffer, block)?).map_err(|e| Fail::from(e).before(&what))?;
        let Some(batch) = batch else {
            return fail(CORRUPT, format!("{what}: its block holds none"));
        };
        let at = skip_rows.min(batch.num_rows());
        Ok(Box::new(Slices { batch: types::conform(batch, &self.schema)?, at, batch_rows: self.batch_rows }))
    }
}

struct Slices {
    batch: RecordBatch,
    at: usize,
    batch_rows: usize,
}

impl Batches for Slices {
    fn next(&mut self) -> Outcome<Option<RecordBatch>> {
        let rows = self.batch_rows.min(self.batch.num_rows() - self.at);
        if rows == 0 {
            return Ok(None);
        }
        let slice = self.batch.slice(self.at, rows);
        self.at += rows;
        Ok(Some(slice))
    }
}
