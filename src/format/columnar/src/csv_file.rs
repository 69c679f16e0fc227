// SPDX-License-Identifier: Apache-2.0
//! CSV: columns by the header's names, types inferred from the head or given.
use std::io::Cursor;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_csv::reader::{Decoder, Format, ReaderBuilder};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef, TimeUnit};
use memchr::memchr_iter;
use regex::Regex;

use crate::fail::{fail, Outcome, CORRUPT, INVALID, SCHEMA, UNSUPPORTED};
use crate::file::{Batches, File, Part, ReadOptions};
use crate::packed::{Packed, Script};
use crate::source::Source;
use crate::text::{self, Decode, Dialect, Head, Lines, TextRows};
use crate::types;

pub struct CsvFile {
    dialect: Arc<Csv>,
    data_start: u64,
    packed: Option<Packed>,
    batch_rows: usize,
}

struct Csv {
    /// All columns of the file, as the crate parses them.
    in_file: SchemaRef,
    wanted: Vec<usize>,
    schema: SchemaRef,
    delimiter: u8,
    null: Option<Regex>,
}

fn null_pattern(null: &Option<String>) -> Outcome<Option<Regex>> {
    let Some(null) = null else { return Ok(None) };
    match Regex::new(&format!("^$|^{}$", regex::escape(null))) {
        Ok(pattern) => Ok(Some(pattern)),
        Err(e) => fail(INVALID, format!("the text for null: {e}")),
    }
}

fn format_of(delimiter: u8, null: &Option<Regex>) -> Format {
    let format = Format::default().with_delimiter(delimiter);
    match null {
        Some(pattern) => format.with_null_regex(pattern.clone()),
        None => format,
    }
}

/// The first record, and how many bytes it takes with its line end.
fn first_record(head: &Head, delimiter: u8) -> Outcome<(Vec<String>, usize)> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).delimiter(delimiter).from_reader(head.text());
    let mut record = csv::StringRecord::new();
    let line = head.line;
    if let Err(e) = reader.read_record(&mut record) {
        return fail(CORRUPT, format!("line {line}: {}", text::reason(&e.to_string())));
    }
    let len = reader.position().byte() as usize;
    let mut lines = Lines::new(Some(delimiter));
    lines.next(&head.text()[..len]);
    match lines.bad() {
        Some(why) => fail(CORRUPT, format!("line {line}: {why}")),
        None => Ok((record.iter().map(String::from).collect(), len)),
    }
}

/// How the crate parses a wanted type; what it lacks is cast afterwards.
fn parsed_as(field: &Field) -> Outcome<DataType> {
    use DataType::*;
    match types::as_text(field.data_type().clone()) {
        LargeUtf8 | Null => Ok(Utf8),
        t @ (Boolean | Utf8 | Date32 | Date64 | Timestamp(_, _) | Decimal128(_, _) | Decimal256(_, _)) => Ok(t),
        t @ (Time32(TimeUnit::Second | TimeUnit::Millisecond) | Time64(TimeUnit::Microsecond | TimeUnit::Nanosecond)) => Ok(t),
        t if t.is_integer() || t.is_floating() => Ok(t),
        t => fail(UNSUPPORTED, format!("column {}: {t} cannot be read from CSV", field.name())),
    }
}

impl CsvFile {
    pub fn open(source: Arc<Source>, options: &ReadOptions) -> Outcome<CsvFile> {
        let (delimiter, null) = (options.delimiter, null_pattern(&options.null)?);
        let head = Head::read(&source, Some(delimiter))?;
        let (first, len) = first_record(&head, delimiter)?;
        let names = match options.header {
            true => first,
            false => (1..=first.len()).map(|i| format!("column_{i}")).collect(),
        };
        let skip = if options.header { len } else { 0 };
        let fields = match &options.schema {
            Some(given) => given_fields(names, given)?,
            None => {
                let rows = &head.text()[skip..];
                let line = head.line + memchr_iter(b'\n', &head.text()[..skip]).count();
                check_rows(rows, line, names.len(), delimiter)?;
                inferred_fields(names, rows, &format_of(delimiter, &null))?
            }
        };
        let in_file = types::schema_of_fields(fields);
        let full = Arc::new(with_given_types(&in_file, options.schema.as_deref()));
        let from_schema = || options.schema.as_ref().map(|s| s.fields().iter().map(|f| f.name().clone()).collect());
        let columns: Option<Vec<String>> = options.columns.clone().or_else(from_schema);
        let wanted = match &options.schema {
            Some(given) if head.is_empty() => return CsvFile::empty(given, options, &head),
            _ => types::indices_of(&full, columns.as_deref())?,
        };
        let schema = Arc::new(full.project(&wanted)?);
        let dialect = Arc::new(Csv { in_file, wanted, schema, delimiter, null });
        Ok(CsvFile { dialect, data_start: (head.start + skip) as u64, packed: head.packed, batch_rows: options.batch_rows })
    }

    /// No header and no row: what the caller knows of the columns stands.
    fn empty(given: &SchemaRef, options: &ReadOptions, head: &Head) -> Outcome<CsvFile> {
        let wanted = types::indices_of(given, options.columns.as_deref())?;
        let schema = Arc::new(given.project(&wanted)?);
        let dialect = Arc::new(Csv { in_file: given.clone(), wanted, schema, delimiter: options.delimiter, null: None });
        Ok(CsvFile { dialect, data_start: head.start as u64, packed: head.packed, batch_rows: options.batch_rows })
    }
}

/// The first record of the head that is not text or has another number of fields than the columns.
fn check_rows(rows: &[u8], first_line: usize, columns: usize, delimiter: u8) -> Outcome<()> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(rows);
    let mut record = csv::StringRecord::new();
    let line_of = |place: Option<&csv::Position>| {
        let at = place.map_or(0, |p| p.byte() as usize).min(rows.len());
        let blank = rows[at..].iter().take_while(|b| **b == b'\n' || **b == b'\r').count();
        first_line + memchr_iter(b'\n', &rows[..at + blank]).count()
    };
    loop {
        match reader.read_record(&mut record) {
            Ok(false) => return Ok(()),
            Ok(true) if record.len() == columns => {}
            Ok(true) => {
                let (line, found) = (line_of(record.position()), record.len());
                return fail(CORRUPT, format!("line {line}: {columns} columns expected, {found} found"));
            }
            Err(e) => {
                let line = line_of(e.position());
                return fail(CORRUPT, format!("line {line}: {}", text::reason(&e.to_string())));
            }
        }
    }
}

/// Columns whose values look like a type but do not parse as it (a named time zone, an hour 25) are text.
fn fields_that_parse(fields: Vec<Field>, rows: &[u8], format: &Format) -> Vec<Field> {
    let schema = types::schema_of_fields(fields.clone());
    let parses = |i: usize| {
        let builder = ReaderBuilder::new(schema.clone()).with_format(format.clone()).with_projection(vec![i]);
        builder.build(Cursor::new(rows)).is_ok_and(|mut batches| batches.all(|batch| batch.is_ok()))
    };
    let checked = |(i, field): (usize, Field)| match field.data_type() {
        DataType::Timestamp(_, _) | DataType::Date32 if !parses(i) => field.with_data_type(DataType::Utf8),
        _ => field,
    };
    fields.into_iter().enumerate().map(checked).collect()
}

fn inferred_fields(names: Vec<String>, rows: &[u8], format: &Format) -> Outcome<Vec<Field>> {
    let (inferred, _) = format.infer_schema(rows, None)?;
    let type_of = |i: usize| inferred.fields().get(i).map_or(DataType::Utf8, |f| types::null_as_text(f.data_type().clone()));
    let fields = names.into_iter().enumerate().map(|(i, name)| Field::new(name, type_of(i), true)).collect();
    Ok(fields_that_parse(fields, rows, format))
}

fn given_fields(names: Vec<String>, given: &Schema) -> Outcome<Vec<Field>> {
    for field in given.fields() {
        if !names.is_empty() && !names.contains(field.name()) {
            return fail(SCHEMA, format!("column {} is missing; its header has {}", field.name(), names.join(", ")));
        }
    }
    let field_of = |name: String| match given.fields().iter().find(|f| *f.name() == name) {
        Some(field) => Ok(Field::new(name, parsed_as(field)?, true)),
        None => Ok(Field::new(name, DataType::Utf8, true)),
    };
    names.into_iter().map(field_of).collect()
}

fn with_given_types(in_file: &SchemaRef, given: Option<&Schema>) -> Schema {
    let Some(given) = given else { return in_file.as_ref().clone() };
    let of = |field: &Arc<Field>| given.fields().iter().find(|g| g.name() == field.name()).unwrap_or(field).clone();
    let fields: Vec<Arc<Field>> = in_file.fields().iter().map(of).collect();
    Schema::new_with_metadata(fields, given.metadata().clone())
}

impl File for CsvFile {
    fn schema(&self) -> &SchemaRef {
        &self.dialect.schema
    }

    fn parts(&self, source: &Source, text_part_bytes: u64, each: &mut dyn FnMut(Part) -> Outcome<()>) -> Outcome<()> {
        match self.packed {
            Some(packed) => each(packed.part(source)),
            None => text::cut(source, self.data_start, text_part_bytes, Some(self.dialect.delimiter), each),
        }
    }

    fn read(&self, source: Arc<Source>, part: Part, skip_rows: usize) -> Outcome<Box<dyn Batches>> {
        let part = self.packed.map_or(part, |_| Part { offset: self.data_start, size_bytes: u64::MAX - self.data_start, ..part });
        Ok(Box::new(TextRows::new(self.dialect.clone(), Script::new(source, self.packed), part, self.batch_rows, skip_rows)?))
    }
}

impl Dialect for Csv {
    fn quoting(&self) -> Option<u8> {
        Some(self.delimiter)
    }

    fn decoder(&self, batch_rows: usize, skip_rows: usize) -> Outcome<(Box<dyn Decode>, usize)> {
        let decoder = ReaderBuilder::new(self.in_file.clone())
            .with_format(format_of(self.delimiter, &self.null))
            .with_batch_size(batch_rows)
            .with_projection(self.wanted.clone())
            .with_bounds(skip_rows, usize::MAX)
            .build_decoder();
        Ok((Box::new(CsvDecoder(decoder)), 0))
    }

    fn schema(&self) -> &SchemaRef {
        &self.schema
    }
}

struct CsvDecoder(Decoder);

impl Decode for CsvDecoder {
    fn decode(&mut self, data: &[u8]) -> Result<usize, ArrowError> {
        self.0.decode(data)
    }
    fn flush(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        self.0.flush()
    }
    fn full(&self) -> bool {
        self.0.capacity() == 0
    }
}
