// SPDX-License-Identifier: Apache-2.0
//! Writers over the caller's write function.
use std::ffi::{c_int, c_void};
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use arrow_array::{make_array, RecordBatch, RecordBatchOptions};
use arrow_data::transform::MutableArrayData;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
use arrow_ipc::{CompressionType, MetadataVersion};
use arrow_json::writer::{LineDelimited, WriterBuilder as JsonBuilder};
use arrow_schema::{DataType, IntervalUnit, SchemaRef};
use arrow_select::concat::concat_batches;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, GzipLevel, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use crate::fail::{fail, Fail, Outcome, CORRUPT, INTERNAL, INVALID, OK, UNSUPPORTED};
use crate::types;

/// A row group or IPC batch is closed at this size, however few its rows: they are held in memory until then.
const GROUP_BYTES: usize = 128 << 20;
const PIECE_BYTES: usize = 1 << 20;

/// `ghee_columnar_sink`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct SinkCalls {
    ctx: *mut c_void,
    write: extern "C" fn(ctx: *mut c_void, data: *const u8, size_bytes: usize) -> c_int,
}

struct SinkState {
    calls: SinkCalls,
    buffer: Vec<u8>,
    failed: c_int,
}

// A writer belongs to one thread at a time.
unsafe impl Send for SinkState {}

/// Bytes on their way to the caller. Dropping it throws away what has not been sent.
#[derive(Clone)]
struct Sink(Arc<Mutex<SinkState>>);

impl SinkState {
    fn send(&mut self) -> io::Result<()> {
        if self.failed == OK && !self.buffer.is_empty() {
            self.failed = (self.calls.write)(self.calls.ctx, self.buffer.as_ptr(), self.buffer.len());
            self.buffer.clear();
        }
        if self.failed != OK {
            return Err(io::Error::other("the sink failed"));
        }
        Ok(())
    }
}

impl Sink {
    fn with<T>(&self, f: impl FnOnce(&mut SinkState) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }

    /// The callback's status in place of the words that a crate made of it.
    fn settle<T>(&self, outcome: Outcome<T>) -> Outcome<T> {
        match (outcome, self.with(|s| s.failed)) {
            (Err(_), status) if status != OK => fail(status, ""),
            (Err(f), _) if f.status == CORRUPT => fail(INVALID, f.text),
            (outcome, _) => outcome,
        }
    }
}

impl Write for Sink {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.with(|s| {
            s.buffer.extend_from_slice(data);
            if s.buffer.len() >= PIECE_BYTES {
                s.send()?;
            }
            Ok(data.len())
        })
    }
    /// Crates flush after every batch; pieces go out when they are full.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

enum Format {
    Parquet(ArrowWriter<Sink>),
    Csv(arrow_csv::Writer<Sink>),
    Jsonl(arrow_json::Writer<Sink, LineDelimited>),
    Ipc(Box<Ipc>),
}

pub struct Writer {
    sink: Sink,
    format: Option<Format>,
    /// As the batches come, and as the format takes them.
    schema: SchemaRef,
    written: SchemaRef,
}

pub struct WriteOptions<'a> {
    pub codec: Option<&'a str>,
    pub row_group_rows: usize,
    pub delimiter: u8,
    pub stream: bool,
}

fn unknown_codec<T>(codec: &str, format: &str, known: &str) -> Outcome<T> {
    fail(UNSUPPORTED, format!("codec {codec} does not go with {format}; known are {known}"))
}

fn parquet_codec(codec: Option<&str>) -> Outcome<Compression> {
    Ok(match codec {
        None | Some("zstd") => Compression::ZSTD(ZstdLevel::default()),
        Some("snappy") => Compression::SNAPPY,
        Some("lz4") => Compression::LZ4_RAW,
        Some("gzip") => Compression::GZIP(GzipLevel::default()),
        Some("none") => Compression::UNCOMPRESSED,
        Some(other) => return unknown_codec(other, "parquet", "zstd, snappy, lz4, gzip, none"),
    })
}

fn no_codec(codec: Option<&str>, format: &str) -> Outcome<()> {
    match codec {
        None | Some("none") => Ok(()),
        Some(other) => unknown_codec(other, format, "none"),
    }
}

fn open_parquet(sink: Sink, schema: &SchemaRef, options: &WriteOptions) -> Outcome<Format> {
    let month_day_nano = DataType::Interval(IntervalUnit::MonthDayNano);
    types::refuse(schema, |t| *t == month_day_nano, "cannot be written as Parquet")?;
    let properties = WriterProperties::builder()
        .set_compression(parquet_codec(options.codec)?)
        .set_max_row_group_row_count(Some(options.row_group_rows))
        .set_max_row_group_bytes(Some(GROUP_BYTES))
        .set_created_by("ghee".into())
        .build();
    match ArrowWriter::try_new(sink, schema.clone(), Some(properties)) {
        Ok(writer) => Ok(Format::Parquet(writer)),
        Err(ParquetError::ArrowError(text) | ParquetError::General(text)) => fail(UNSUPPORTED, text),
        Err(e) => Err(e.into()),
    }
}

fn open_csv(sink: Sink, schema: &SchemaRef, options: &WriteOptions) -> Outcome<Format> {
    no_codec(options.codec, "csv")?;
    let no_text = |t: &DataType| {
        use DataType::*;
        t.is_nested() || matches!(t, Binary | LargeBinary | FixedSizeBinary(_) | BinaryView | Interval(_))
    };
    types::refuse(schema, no_text, "cannot be written as CSV")?;
    let mut writer = arrow_csv::WriterBuilder::new().with_delimiter(options.delimiter).build(sink);
    // The header stands even when no row follows.
    writer.write(&RecordBatch::new_empty(schema.clone()))?;
    Ok(Format::Csv(writer))
}

fn open_jsonl(sink: Sink, schema: &SchemaRef, options: &WriteOptions) -> Outcome<Format> {
    no_codec(options.codec, "jsonl")?;
    types::refuse(schema, |t| matches!(t, DataType::Interval(_)), "cannot be written as JSON lines")?;
    // Nulls are spelled out, so that the first lines show every column.
    Ok(Format::Jsonl(JsonBuilder::new().with_explicit_nulls(true).build(sink)))
}

fn open_ipc(sink: Sink, schema: &SchemaRef, options: &WriteOptions) -> Outcome<Format> {
    let codec = match options.codec {
        None | Some("none") => None,
        Some("zstd") => Some(CompressionType::ZSTD),
        Some("lz4") => Some(CompressionType::LZ4_FRAME),
        Some(other) => return unknown_codec(other, "ipc", "none, zstd, lz4"),
    };
    let ipc = IpcWriteOptions::try_new(64, false, MetadataVersion::V5)?.try_with_compression(codec)?;
    let writer = match options.stream {
        true => Blocks::Stream(StreamWriter::try_new_with_options(sink, schema, ipc)?),
        false => Blocks::File(FileWriter::try_new_with_options(sink, schema, ipc)?),
    };
    let pending = Vec::new();
    Ok(Format::Ipc(Box::new(Ipc { writer, schema: schema.clone(), pending, rows: 0, bytes: 0, most: options.row_group_rows })))
}

/// A file ends in a footer that names its blocks, a stream does not.
enum Blocks {
    File(FileWriter<Sink>),
    Stream(StreamWriter<Sink>),
}

impl Blocks {
    fn write(&mut self, batch: &RecordBatch) -> Outcome<()> {
        match self {
            Blocks::File(writer) => Ok(writer.write(batch)?),
            Blocks::Stream(writer) => Ok(writer.write(batch)?),
        }
    }

    fn finish(&mut self) -> Outcome<()> {
        match self {
            Blocks::File(writer) => Ok(writer.finish()?),
            Blocks::Stream(writer) => Ok(writer.finish()?),
        }
    }
}

/// Gathers small batches, as each one written is a part of its own when read.
struct Ipc {
    writer: Blocks,
    schema: SchemaRef,
    pending: Vec<RecordBatch>,
    rows: usize,
    bytes: usize,
    most: usize,
}

impl Ipc {
    fn push(&mut self, batch: &RecordBatch) -> Outcome<()> {
        let mut at = 0;
        while at < batch.num_rows() {
            let rows = (batch.num_rows() - at).min(self.most - self.rows);
            let piece = copied(&batch.slice(at, rows))?;
            at += rows;
            self.rows += rows;
            self.bytes += piece.get_array_memory_size();
            self.pending.push(piece);
            if self.rows == self.most || self.bytes >= GROUP_BYTES {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Outcome<()> {
        if self.rows > 0 {
            self.writer.write(&concat_batches(&self.schema, &self.pending)?)?;
        }
        self.pending.clear();
        (self.rows, self.bytes) = (0, 0);
        Ok(())
    }
}

/// Batches are borrowed for the call only, and slices share memory: what is kept must be a copy.
fn copied(batch: &RecordBatch) -> Outcome<RecordBatch> {
    let copy = |column: &arrow_array::ArrayRef| -> Outcome<arrow_array::ArrayRef> {
        let data = column.to_data();
        let mut grown = MutableArrayData::new(vec![&data], false, data.len());
        grown.try_extend(0, 0, data.len())?;
        Ok(make_array(grown.freeze()))
    };
    let columns = batch.columns().iter().map(copy).collect::<Outcome<_>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(batch.schema(), columns, &options)?)
}

impl Writer {
    pub fn create(kind: u32, calls: SinkCalls, schema: SchemaRef, options: &WriteOptions) -> Outcome<Writer> {
        types::refuse_unions(&schema)?;
        let state = SinkState { calls, buffer: Vec::with_capacity(PIECE_BYTES), failed: OK };
        let sink = Sink(Arc::new(Mutex::new(state)));
        let written = Arc::new(match kind {
            0 => schema.as_ref().clone(),
            3 => types::map_schema(&schema, &types::without_dictionary),
            _ => types::map_schema(&schema, &types::as_text),
        });
        let opened = match kind {
            0 => open_parquet(sink.clone(), &written, options),
            1 => open_csv(sink.clone(), &written, options),
            2 => open_jsonl(sink.clone(), &written, options),
            3 => open_ipc(sink.clone(), &written, options),
            _ => fail(INVALID, "no such format"),
        };
        let format = Some(sink.settle(opened)?);
        Ok(Writer { sink, format, schema, written })
    }

    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    pub fn write(&mut self, batch: RecordBatch) -> Outcome<()> {
        let batch = types::conform(batch, &self.written)?;
        let outcome = match &mut self.format {
            Some(Format::Parquet(writer)) => writer.write(&batch).map_err(Fail::from),
            Some(Format::Csv(writer)) => writer.write(&batch).map_err(Fail::from),
            Some(Format::Jsonl(writer)) => writer.write(&batch).map_err(Fail::from),
            Some(Format::Ipc(ipc)) => ipc.push(&batch),
            None => fail(INTERNAL, "a batch was written behind the end"),
        };
        self.sink.settle(outcome)
    }

    pub fn finish(&mut self) -> Outcome<()> {
        let outcome = match self.format.take() {
            Some(Format::Parquet(writer)) => writer.close().map(|_| ()).map_err(Fail::from),
            Some(Format::Csv(writer)) => {
                drop(writer.into_inner());
                Ok(())
            }
            Some(Format::Jsonl(mut writer)) => writer.finish().map_err(Fail::from),
            Some(Format::Ipc(mut ipc)) => ipc.flush().and_then(|_| ipc.writer.finish()),
            None => fail(INTERNAL, "it was finished twice"),
        };
        let outcome = outcome.and_then(|_| self.sink.with(|s| s.send()).or(fail(INTERNAL, "the sink failed")));
        self.sink.settle(outcome)
    }
}
