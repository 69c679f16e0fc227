// SPDX-License-Identifier: Apache-2.0
//! JSON lines: an object a line; columns in the order in which the head first shows them.
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_json::reader::{infer_json_schema, Decoder, ReaderBuilder};
use arrow_schema::{ArrowError, DataType, Field, Fields, Schema, SchemaRef};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::fail::{fail, Fail, Outcome, CORRUPT, UNSUPPORTED};
use crate::file::{Batches, File, Part, ReadOptions};
use crate::packed::{Packed, Script};
use crate::source::Source;
use crate::text::{self, Decode, Dialect, Head, TextRows};
use crate::types;

const HEAD_BATCH_ROWS: usize = 1024;

pub struct JsonlFile {
    dialect: Arc<Jsonl>,
    data_start: u64,
    packed: Option<Packed>,
    batch_rows: usize,
}

struct Jsonl {
    /// The wanted columns as the crate parses them, and as they are given out.
    parsed: SchemaRef,
    schema: SchemaRef,
}

/// The keys of an object in their order.
struct Keys(Vec<String>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Keys, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Keys;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Keys, M::Error> {
                let mut keys = Vec::new();
                while let Some(key) = map.next_key::<String>()? {
                    map.next_value::<IgnoredAny>()?;
                    keys.push(key);
                }
                Ok(Keys(keys))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// Documents of JSON one after the other, however they lie on lines; asked of a file whose first line is no object.
fn is_json(head: &Head) -> bool {
    let mut documents = serde_json::Deserializer::from_slice(head.text()).into_iter::<IgnoredAny>();
    match documents.find(Result::is_err) {
        Some(Err(e)) => e.is_eof() && !head.whole,
        _ => true,
    }
}

/// Each column's place by first appearance; also the check that every line of the head is an object.
fn order_of_keys(head: &Head) -> Outcome<HashMap<String, usize>> {
    let mut order = HashMap::new();
    for (i, line) in head.text().split(|b| *b == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let keys: Keys = match serde_json::from_slice(line) {
            Ok(keys) => keys,
            Err(e) => {
                let what = format!("line {}: {}", head.line + i, text::reason(&e.to_string()));
                return match order.is_empty() && is_json(head) {
                    true => fail(UNSUPPORTED, format!("{what}: JSON, but not JSON lines, which are one object each; write it as those")),
                    false => fail(CORRUPT, what),
                };
            }
        };
        for key in keys.0 {
            let next = order.len();
            order.entry(key).or_insert(next);
        }
    }
    Ok(order)
}

/// The crate's inference goes through hash maps: without an order of our own it would change from run to run.
fn sorted_inside(data_type: DataType) -> DataType {
    match data_type {
        DataType::Struct(fields) => {
            let mut fields: Vec<Arc<Field>> = fields.iter().cloned().collect();
            fields.sort_by(|a, b| a.name().cmp(b.name()));
            DataType::Struct(Fields::from(fields))
        }
        other => other,
    }
}

/// What fails in a head whose lines are objects: values that no number or text can hold, or to find one type for each column.
fn mixed(failed: Fail) -> Fail {
    let why = text::reason(&failed.text);
    match why.starts_with("Not valid JSON") || why.starts_with("Failed to read JSON record") {
        true => Fail { status: CORRUPT, text: format!("in its head: {why}") },
        false => Fail { status: UNSUPPORTED, text: format!("a column mixes kinds of values in its head: {why}") },
    }
}

/// The inferred types are those that its head parses as; the crate takes a value for a list of one, but does not parse it so.
fn check_head(dialect: &Jsonl, head: &Head) -> Outcome<()> {
    let (mut decoder, _) = dialect.decoder(HEAD_BATCH_ROWS, 0)?;
    let mut rest = head.text();
    while !rest.is_empty() {
        let n = decoder.decode(rest).map_err(|e| mixed(e.into()))?;
        rest = &rest[n..];
        if decoder.flush().map_err(|e| mixed(e.into()))?.is_none() {
            break;
        }
    }
    Ok(())
}

fn infer(head: &Head) -> Outcome<SchemaRef> {
    let order = order_of_keys(head)?;
    let (found, _) = infer_json_schema(head.text(), None).map_err(|e| mixed(e.into()))?;
    let found = types::map_schema(&types::map_schema(&found, &types::null_as_text), &sorted_inside);
    let mut fields: Vec<Arc<Field>> = found.fields().iter().cloned().collect();
    fields.sort_by_key(|f| order.get(f.name()).copied().unwrap_or(usize::MAX));
    Ok(Arc::new(Schema::new(fields)))
}

impl JsonlFile {
    pub fn open(source: Arc<Source>, options: &ReadOptions) -> Outcome<JsonlFile> {
        let head = Head::read(&source, None)?;
        let full = match &options.schema {
            Some(given) => given.clone(),
            None => infer(&head)?,
        };
        let wanted = types::indices_of(&full, options.columns.as_deref())?;
        let schema = Arc::new(full.project(&wanted)?);
        let parsed = Arc::new(types::map_schema(&schema, &types::as_text));
        types::refuse(&parsed, |t| matches!(t, DataType::Interval(_)), "cannot be read from JSON lines")?;
        let dialect = Jsonl { parsed, schema };
        match options.schema {
            Some(_) => drop(dialect.decoder(1, 0)?),
            None => check_head(&dialect, &head)?,
        }
        Ok(JsonlFile { dialect: Arc::new(dialect), data_start: head.start as u64, packed: head.packed, batch_rows: options.batch_rows })
    }
}

impl File for JsonlFile {
    fn schema(&self) -> &SchemaRef {
        &self.dialect.schema
    }

    fn parts(&self, source: &Source, text_part_bytes: u64, each: &mut dyn FnMut(Part) -> Outcome<()>) -> Outcome<()> {
        match self.packed {
            Some(packed) => each(packed.part(source)),
            None => text::cut(source, self.data_start, text_part_bytes, None, each),
        }
    }

    fn read(&self, source: Arc<Source>, part: Part, skip_rows: usize) -> Outcome<Box<dyn Batches>> {
        let part = self.packed.map_or(part, |_| Part { offset: self.data_start, size_bytes: u64::MAX - self.data_start, ..part });
        Ok(Box::new(TextRows::new(self.dialect.clone(), Script::new(source, self.packed), part, self.batch_rows, skip_rows)?))
    }
}

impl Dialect for Jsonl {
    fn quoting(&self) -> Option<u8> {
        None
    }

    fn decoder(&self, batch_rows: usize, skip_rows: usize) -> Outcome<(Box<dyn Decode>, usize)> {
        // A column of mixed scalars is inferred as text, so numbers must be taken as text.
        let builder = ReaderBuilder::new(self.parsed.clone()).with_batch_size(batch_rows).with_coerce_primitive(true);
        Ok((Box::new(JsonDecoder(builder.build_decoder()?)), skip_rows))
    }

    fn schema(&self) -> &SchemaRef {
        &self.schema
    }
}

struct JsonDecoder(Decoder);

impl Decode for JsonDecoder {
    fn decode(&mut self, data: &[u8]) -> Result<usize, ArrowError> {
        self.0.decode(data)
    }
    fn flush(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        self.0.flush()
    }
    /// It takes no byte once it is full, which ends the filling as well.
    fn full(&self) -> bool {
        false
    }
}
