// SPDX-License-Identifier: Apache-2.0
//! The C ABI of ../columnar.h over the arrow and parquet crates.
mod bounds;
mod csv_file;
mod dictionary;
mod fail;
mod file;
mod footer;
mod ipc_file;
mod ipc_stream;
mod jsonl_file;
mod kept;
mod orc_bounds;
mod orc_column;
mod orc_file;
mod orc_meta;
mod orc_runs;
mod orc_stream;
mod orc_text;
mod orc_types;
mod orc_zone;
mod packed;
mod parquet_file;
mod protobuf;
mod source;
mod text;
mod thrift;
mod types;
mod write;

use std::ffi::{c_char, c_int, c_void, CStr};
use std::sync::Arc;

use arrow_array::ffi::{from_ffi_and_data_type, FFI_ArrowArray, FFI_ArrowSchema};
use arrow_array::{Array, RecordBatch, RecordBatchOptions, StructArray};
use arrow_schema::{DataType, Schema, SchemaRef};

use fail::{fail, guard, Error, Fail, Outcome, CLOSED, INVALID, OK};
use file::{Batches, File, Part, ReadOptions};
use source::{Source, SourceCalls};
use write::{SinkCalls, WriteOptions, Writer};

#[global_allocator]
static ALLOCATOR: kept::Kept = kept::Kept;

/// `ghee_columnar_read_options`.
#[repr(C)]
pub struct CReadOptions {
    columns: *const *const c_char,
    n_columns: usize,
    batch_rows: i64,
    schema: *const FFI_ArrowSchema,
    csv_delimiter: u8,
    csv_no_header: bool,
    csv_null: *const c_char,
    bounds: bool,
}

/// `ghee_columnar_write_options`.
#[repr(C)]
pub struct CWriteOptions {
    codec: *const c_char,
    row_group_rows: i64,
    csv_delimiter: u8,
    ipc_stream: bool,
}

type EachPart = extern "C" fn(user: *mut c_void, part: *const Part) -> c_int;

pub struct CFile(Box<dyn File>);

pub struct CRows {
    batches: Option<Box<dyn Batches>>,
    source: Arc<Source>,
}

/// NULL is None; else a string that lives for the call.
unsafe fn text_of<'a>(text: *const c_char) -> Outcome<Option<&'a str>> {
    if text.is_null() {
        return Ok(None);
    }
    match unsafe { CStr::from_ptr(text) }.to_str() {
        Ok(text) => Ok(Some(text)),
        Err(_) => fail(INVALID, "an option is not UTF-8"),
    }
}

fn schema_of(schema: &FFI_ArrowSchema) -> Outcome<SchemaRef> {
    Schema::try_from(schema).map(Arc::new).map_err(|e| Fail { status: INVALID, text: format!("the schema: {e}") })
}

fn check_delimiter(delimiter: u8) -> Outcome<u8> {
    match delimiter {
        b'"' | b'\n' | b'\r' | 0 | 0x80.. => fail(INVALID, format!("byte {delimiter} cannot be the delimiter of CSV")),
        _ => Ok(delimiter),
    }
}

/// An array of strings that live for the call.
unsafe fn texts_of(texts: *const *const c_char, n: usize) -> Outcome<Vec<String>> {
    let mut all = Vec::new();
    for text in unsafe { std::slice::from_raw_parts(texts, n) } {
        all.push(unsafe { text_of(*text) }?.unwrap_or_default().to_string());
    }
    Ok(all)
}

unsafe fn read_options(c: &CReadOptions) -> Outcome<ReadOptions> {
    Ok(ReadOptions {
        columns: if c.columns.is_null() { None } else { Some(unsafe { texts_of(c.columns, c.n_columns) }?) },
        batch_rows: usize::try_from(c.batch_rows).unwrap_or(1).max(1),
        schema: unsafe { c.schema.as_ref() }.map(schema_of).transpose()?,
        delimiter: check_delimiter(c.csv_delimiter)?,
        header: !c.csv_no_header,
        null: unsafe { text_of(c.csv_null) }?.map(String::from),
        bounds: c.bounds,
    })
}

/// # Safety
/// As columnar.h says; so for all functions here.
#[no_mangle]
pub unsafe extern "C" fn ghee_columnar_open(
    kind: u32, calls: *const SourceCalls, options: *const CReadOptions, out: *mut *mut CFile, err: *mut Error,
) -> c_int {
    guard(err, true, || {
        let options = unsafe { read_options(&*options) }?;
        let source = Source::new(unsafe { *calls });
        let file: Outcome<Box<dyn File>> = match kind {
            0 => parquet_file::ParquetFile::open(source.clone(), &options).map(|f| Box::new(f) as _),
            1 => csv_file::CsvFile::open(source.clone(), &options).map(|f| Box::new(f) as _),
            2 => jsonl_file::JsonlFile::open(source.clone(), &options).map(|f| Box::new(f) as _),
            3 => ipc_file::IpcFile::open(source.clone(), &options).map(|f| Box::new(f) as _),
            4 => orc_file::OrcFile::open(source.clone(), &options).map(|f| Box::new(f) as _),
            _ => fail(INVALID, "no such format"),
        };
        unsafe { *out = Box::into_raw(Box::new(CFile(source.settle(file)?))) };
        Ok(OK)
    })
}

/// # Safety
/// See ghee_columnar_open.
#[no_mangle]
pub unsafe extern "C" fn ghee_columnar_close(file: *mut CFile) {
    if !file.is_null() {
        guard(std::ptr::null_mut(), true, || {
            drop(unsafe { Box::from_raw(file) });
            Ok(OK)
        });
    }
}

/// # Safety
/// See ghee_columnar_open.
#[no_mangle]
pub unsafe extern "C" fn ghee_columnar_schema(file: *const CFile, out: *mut FFI_ArrowSchema, err: *mut Error) -> c_int {
    guard(err, true, || {
        let schema = FFI_ArrowSchema::try_from(unsafe { &*file }.0.schema().as_ref())?;
        unsafe { out.write(schema) };
        Ok(OK)
    })
}

/// # Safety
/// See ghee_columnar_open.
#[no_mangle]
pub unsafe extern "C" fn ghee_columnar_parts(
    file: *const CFile, calls: *const SourceCalls, text_part_bytes: u64, each: EachPart, user: *mut c_void, err: *mut Error,
) -> c_int {
    guard(err, true, || {
        let source = Source::new(unsafe { *calls });
        let mut give = |part: Part| match each(user, &part) {
            OK => Ok(()),
            status => fail(status, ""),
        };
        source.settle(unsafe { &*file }.0.parts(&source, text_part_bytes, &mut give)).map(|_| OK)
    })
}

/// # Safety
/// See ghee_columnar_open.
#[no_mangle]
pub unsafe extern "C" fn ghee_columnar_bounds(
    file: *const CFile, columns: *const *const c_char, n: usize, schema: *mut FFI_ArrowSchema, array: *mut FFI_ArrowArray, err: *mut Error,
) -> c_int {
    guard(err, true, || {
        let batch = unsafe { &*file }.0.bounds(&unsafe { texts_of(columns, n) }?)?;
        let exported = FFI_ArrowSchema::try_from(batch.schema().as_ref())?;
        unsafe {
            array.write(FFI_ArrowArray::new(&StructArray::from(batch).into_data()));
            schema.write(exported);
        }
        Ok(OK)
    })
}

/// # Safety
/// See ghee_columnar_open.
#[no_mangle]
pub unsafe extern "C" fn ghee_columnar_read(
    file: *const CFile, calls: *const SourceCalls, part: *const Part, skip_rows: i64, out: *mut *mut CRows, err: *mut Error,
) -> c_int {
    guard(err, true, || {
        let source = Source::new(unsafe { *calls });
        let skip = usize::try_from(skip_rows).unwrap_or(0);
        let batches = source.settle(unsafe { &*file }.0.read(source.clone(), unsafe { *part }, skip))?;
        unsafe { *out = Box::into_raw(Box::new(CRows { batches: Some(batches), source })) };
        Ok(OK)
    })
}

/// # Safety
/// See ghee_columnar_open.
#[no_mangle]
pub unsafe extern "C" fn ghee_columnar_next(rows: *mut CRows, out: *mut FFI_ArrowArray, err: *mut Error) -> c_int {
    let rows = unsafe { &mut *rows };
    // Taken out while it runs: after a failure or a panic there is nothing left to read from.
    let Some(mut batches) = rows.batches.take() else {
        return CLOSED;
    };
    guard(err, true, || {
        let Some(batch) = rows.source.settle(batches.next())? else {
            return Ok(CLOSED);
        };
        let array = match batch.num_columns() {
            0 => StructArray::new_empty_fields(batch.num_rows(), None),
            _ => StructArray::from(batch),
        };
        unsafe { out.write(FFI_ArrowArray::new(&array.into_data())) };
        rows.batches = Some(batches);
        Ok(OK)
    })
}

/// # Safety
/// See ghee_columnar_open.
#[no_mangle]
pub unsafe extern "C" fn ghee_columnar_end(rows: *mut CRows) {
    if !rows.is_null() {
        guard(std::ptr::null_mut(), true, || {
            drop(unsafe { Box::from_raw(rows) });
            Ok(OK)
        });
    }
}

/// # Safety
/// See ghee_columnar_open.
#[no_mangle]
pub unsafe extern "C" fn ghee_columnar_create(
    kind: u32, sink: *const SinkCalls, schema: *const FFI_ArrowSchema, options: *const CWriteOptions, out: *mut *mut Writer,
    err: *mut Error,
) -> c_int {
    guard(err, false, || {
        let c = unsafe { &*options };
        let options = WriteOptions {
            codec: unsafe { text_of(c.codec) }?,
            row_group_rows: usize::try_from(c.row_group_rows).unwrap_or(1).max(1),
            delimiter: check_delimiter(c.csv_delimiter)?,
            stream: c.ipc_stream,
        };
        let writer = Writer::create(kind, unsafe { *sink }, schema_of(unsafe { &*schema })?, &options)?;
        unsafe { *out = Box::into_raw(Box::new(writer)) };
        Ok(OK)
    })
}

/// The caller's array, whose memory stays the caller's.
unsafe fn borrowed(array: *const FFI_ArrowArray, schema: &SchemaRef) -> Outcome<RecordBatch> {
    let copy = unsafe { std::ptr::read(array) };
    let data = unsafe { from_ffi_and_data_type(copy, DataType::Struct(schema.fields().clone())) }?;
    let rows = data.len();
    let columns = match schema.fields().len() {
        0 => Vec::new(),
        _ => StructArray::from(data).into_parts().1,
    };
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?)
}

/// # Safety
/// See ghee_columnar_open. `array` comes with a release that does nothing.
#[no_mangle]
pub unsafe extern "C" fn ghee_columnar_write(writer: *mut Writer, array: *const FFI_ArrowArray, err: *mut Error) -> c_int {
    guard(err, false, || {
        let writer = unsafe { &mut *writer };
        let batch = unsafe { borrowed(array, writer.schema()) }?;
        writer.write(batch).map(|_| OK)
    })
}

/// # Safety
/// See ghee_columnar_open.
#[no_mangle]
pub unsafe extern "C" fn ghee_columnar_finish(writer: *mut Writer, err: *mut Error) -> c_int {
    guard(err, false, || unsafe { &mut *writer }.finish().map(|_| OK))
}

/// # Safety
/// See ghee_columnar_open.
#[no_mangle]
pub unsafe extern "C" fn ghee_columnar_abandon(writer: *mut Writer) {
    if !writer.is_null() {
        guard(std::ptr::null_mut(), false, || {
            drop(unsafe { Box::from_raw(writer) });
            Ok(OK)
        });
    }
}

#[no_mangle]
pub extern "C" fn ghee_columnar_keep(most_bytes: usize) {
    kept::keep(most_bytes);
}
