// SPDX-License-Identifier: Apache-2.0
//! Parquet: a part is a row group, fetched as whole column chunks and decoded batch by batch.
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::arrow::ProjectionMask;
use parquet::basic::Type;
use parquet::file::reader::ChunkReader;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetStatisticsPolicy, RowGroupMetaData};

use crate::bounds::bounds_of;
use crate::dictionary;
use crate::fail::{fail, Fail, Outcome, CORRUPT, INVALID, UNSUPPORTED};
use crate::file::{Batches, File, Part, ReadOptions};
use crate::footer;
use crate::source::{check_room, Pieces, Source};
use crate::types;

/// One read gets the footer of most files.
const TAIL_BYTES: usize = 64 << 10;
/// Batches are cut below this estimate, far from the 2 GiB that 32-bit offsets reach.
const BATCH_BYTES: u64 = 256 << 20;

pub struct ParquetFile {
    meta: ArrowReaderMetadata,
    schema: SchemaRef,
    mask: ProjectionMask,
    leaves: Vec<usize>,
    /// Place of each wanted column among those that the mask lets through.
    order: Vec<usize>,
    batch_rows: usize,
}

/// Bytes of the footer, which stands before its length and the magic bytes at the end.
fn footer_len(tail: &Pieces, size: u64) -> Outcome<usize> {
    let end = tail.get_bytes(size - 8, 8)?;
    match &end[4..] {
        b"PAR1" => {}
        b"PARE" => return fail(UNSUPPORTED, "its footer is encrypted"),
        _ => return fail(CORRUPT, "not a Parquet file, or truncated: it does not end in PAR1"),
    }
    let len = u32::from_le_bytes([end[0], end[1], end[2], end[3]]);
    if u64::from(len) > size - 12 {
        return fail(CORRUPT, format!("its footer claims {len} of its {size} bytes: truncated or damaged"));
    }
    Ok(len as usize)
}

fn load(source: &Arc<Source>, statistics: ParquetStatisticsPolicy) -> Outcome<ArrowReaderMetadata> {
    let size = source.size();
    if size < 12 {
        return fail(CORRUPT, format!("its {size} bytes are too few for a Parquet file"));
    }
    let mut tail = Pieces::tail(source.clone(), TAIL_BYTES)?;
    let len = footer_len(&tail, size)?;
    if len + 8 > TAIL_BYTES {
        tail = Pieces::tail(source.clone(), len + 8)?;
    }
    let footer = tail.get_bytes(size - 8 - len as u64, len)?;
    if footer::depth(&footer).is_some_and(|depth| depth > footer::MAX_DEPTH) {
        return fail(CORRUPT, "its schema is nested more than 128 deep");
    }
    let options = ArrowReaderOptions::new().with_column_stats_policy(statistics);
    let (meta, options) = match ArrowReaderMetadata::load(&tail, options.clone()) {
        Ok(meta) => (meta, options),
        // Some writers store a hint of the Arrow types that the crate cannot read; the Parquet types say enough without it.
        Err(e) => {
            let plain = options.with_skip_arrow_metadata(true);
            let failed = |_| Fail::from(e).before("its footer");
            (ArrowReaderMetadata::load(&tail, plain.clone()).map_err(failed)?, plain)
        }
    };
    types::refuse_unions(meta.schema())?;
    let plain = types::map_schema(meta.schema(), &types::plain);
    if plain == **meta.schema() {
        return Ok(meta);
    }
    Ok(ArrowReaderMetadata::try_new(meta.metadata().clone(), options.with_schema(Arc::new(plain)))?)
}

impl ParquetFile {
    pub fn open(source: Arc<Source>, options: &ReadOptions) -> Outcome<ParquetFile> {
        let statistics = if options.bounds { ParquetStatisticsPolicy::KeepAll } else { ParquetStatisticsPolicy::SkipAll };
        let meta = load(&source, statistics)?;
        let wanted = types::indices_of(meta.schema(), options.columns.as_deref())?;
        let mask = ProjectionMask::roots(meta.parquet_schema(), wanted.iter().copied());
        let leaves = (0..meta.parquet_schema().num_columns()).filter(|i| mask.leaf_included(*i)).collect();
        let mut passed = wanted.clone();
        passed.sort_unstable();
        passed.dedup();
        let order = wanted.iter().map(|i| passed.binary_search(i).unwrap_or(0)).collect();
        let schema = Arc::new(meta.schema().project(&wanted)?);
        Ok(ParquetFile { meta, schema, mask, leaves, order, batch_rows: options.batch_rows })
    }

    fn chunks<'a>(&'a self, group: &'a RowGroupMetaData) -> impl Iterator<Item = &'a ColumnChunkMetaData> {
        self.leaves.iter().map(|leaf| group.column(*leaf))
    }

    fn part(&self, index: usize, size: u64) -> Outcome<Part> {
        let group = self.meta.metadata().row_group(index);
        let mut part = Part { index: index as u32, offset: size, rows: group.num_rows(), ..Part::default() };
        if part.rows < 0 {
            return fail(CORRUPT, format!("row group {index} says it has {} rows", part.rows));
        }
        for chunk in self.chunks(group) {
            let (start, len) = range_of(chunk, index, size)?;
            check_count(chunk, index, part.rows)?;
            part.offset = part.offset.min(start);
            part.size_bytes += len;
            part.memory_bytes = part.memory_bytes.saturating_add(decoded_bytes(chunk));
        }
        Ok(part)
    }
}

fn range_of(chunk: &ColumnChunkMetaData, group: usize, size: u64) -> Outcome<(u64, u64)> {
    let start = chunk.dictionary_page_offset().filter(|at| *at > 0).unwrap_or(chunk.data_page_offset());
    let (start, len) = (u64::try_from(start).unwrap_or(u64::MAX), u64::try_from(chunk.compressed_size()).unwrap_or(u64::MAX));
    if start.checked_add(len).is_none_or(|end| end > size) {
        let column = chunk.column_path().string();
        return fail(CORRUPT, format!("column {column} of row group {group} lies outside of its {size} bytes: truncated or damaged"));
    }
    Ok((start, len))
}

/// Where nothing repeats there is a value, or a null, for each row.
fn check_count(chunk: &ColumnChunkMetaData, group: usize, rows: i64) -> Outcome<()> {
    if chunk.column_descr().max_rep_level() == 0 && chunk.num_values() != rows {
        let (column, values) = (chunk.column_path().string(), chunk.num_values());
        return fail(CORRUPT, format!("column {column} of row group {group} has {values} values for {rows} rows"));
    }
    Ok(())
}

fn decoded_bytes(chunk: &ColumnChunkMetaData) -> u64 {
    let values = chunk.num_values().max(0) as u64;
    let flat = chunk.uncompressed_size().max(0) as u64;
    match chunk.column_type() {
        Type::BOOLEAN => values / 8,
        Type::INT32 | Type::FLOAT => values.saturating_mul(4),
        Type::INT64 | Type::DOUBLE | Type::INT96 => values.saturating_mul(8),
        Type::FIXED_LEN_BYTE_ARRAY => values.saturating_mul(chunk.column_descr().type_length().max(0) as u64),
        Type::BYTE_ARRAY => {
            let text = chunk.unencoded_byte_array_data_bytes().map_or(flat, |bytes| bytes.max(0) as u64);
            text.saturating_add(values.saturating_mul(4))
        }
    }
}

impl File for ParquetFile {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn parts(&self, source: &Source, _: u64, each: &mut dyn FnMut(Part) -> Outcome<()>) -> Outcome<()> {
        for index in 0..self.meta.metadata().num_row_groups() {
            let part = self.part(index, source.size())?;
            if part.rows > 0 {
                each(part)?;
            }
        }
        Ok(())
    }

    fn bounds(&self, columns: &[String]) -> Outcome<RecordBatch> {
        bounds_of(&self.meta, columns)
    }

    fn read(&self, source: Arc<Source>, part: Part, skip_rows: usize) -> Outcome<Box<dyn Batches>> {
        let index = part.index as usize;
        if index >= self.meta.metadata().num_row_groups() {
            return fail(INVALID, format!("there is no row group {index}"));
        }
        let known = self.part(index, source.size())?;
        let group = self.meta.metadata().row_group(index);
        let ranges = self.chunks(group).map(|c| range_of(c, index, source.size())).collect::<Outcome<Vec<_>>>()?;
        let row_bytes = (known.memory_bytes / known.rows.max(1) as u64).max(1);
        let batch_rows = self.batch_rows.min((BATCH_BYTES / row_bytes).max(1) as usize);
        let pieces = Pieces::fetch(source.clone(), ranges.clone())?;
        for (chunk, (start, _)) in self.chunks(group).zip(&ranges) {
            let page = pieces.find(*start).unwrap_or_default();
            if let Some(reason) = dictionary::impossible(chunk, &page) {
                return fail(CORRUPT, format!("column {} of row group {index}: {reason}", chunk.column_path().string()));
            }
        }
        // The crate skips without end in a damaged page of a repeated column: rows of those are decoded and dropped.
        let repeated = self.chunks(group).any(|c| c.column_descr().max_rep_level() > 0);
        let (offset, skip) = if repeated { (0, skip_rows) } else { (skip_rows, 0) };
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(pieces, self.meta.clone())
            .with_row_groups(vec![index])
            .with_projection(self.mask.clone())
            .with_batch_size(batch_rows)
            .with_offset(offset)
            .build()
            .map_err(|e| Fail::from(e).before(&format!("row group {index}")))?;
        // Text is gathered in buffers that double.
        let batch_bytes = row_bytes.saturating_mul(batch_rows.min(known.rows as usize) as u64).saturating_mul(2);
        Ok(Box::new(Rows { reader, source, index, skip, batch_bytes, order: self.order.clone(), schema: self.schema.clone() }))
    }
}

struct Rows {
    reader: ParquetRecordBatchReader,
    source: Arc<Source>,
    index: usize,
    /// Rows that are still to be dropped.
    skip: usize,
    /// What decoding one batch may take.
    batch_bytes: u64,
    order: Vec<usize>,
    schema: SchemaRef,
}

impl Batches for Rows {
    fn next(&mut self) -> Outcome<Option<RecordBatch>> {
        loop {
            check_room(self.batch_bytes).map_err(|e| e.before(&format!("row group {}", self.index)))?;
            let batch = match self.reader.next() {
                None => return Ok(None),
                Some(Ok(batch)) => batch.project(&self.order)?,
                Some(Err(e)) => return self.source.settle(Err(Fail::from(e).before(&format!("row group {}", self.index)))),
            };
            let dropped = self.skip.min(batch.num_rows());
            self.skip -= dropped;
            if dropped < batch.num_rows() {
                return types::conform(batch.slice(dropped, batch.num_rows() - dropped), &self.schema).map(Some);
            }
        }
    }
}
