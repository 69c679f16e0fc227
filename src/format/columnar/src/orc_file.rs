// SPDX-License-Identifier: Apache-2.0
//! ORC: a part is a stripe. The streams of the wanted columns are fetched, neighbours in one read, and decoded batch by batch.
use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{DataType, Schema, SchemaRef};

use crate::fail::{fail, Fail, Outcome, CORRUPT, INVALID};
use crate::file::{Batches, File, Part, ReadOptions};
use crate::orc_bounds::bounds_of;
use crate::orc_column::{Column, Streams, DATA, DICTIONARY_DATA, LENGTH, PRESENT, SECONDARY};
use crate::orc_meta::{load, Meta, Stripe, StripeFooter};
use crate::orc_types::{root, Kind, Node};
use crate::orc_zone::Zone;
use crate::source::{check_room, Pieces, Source};
use crate::types;

/// Batches are cut below this estimate, far from the 2 GiB that 32-bit offsets reach.
const BATCH_BYTES: u64 = 256 << 20;
/// Guessed for the memory of packed bytes where the file has no statistics.
const USUAL_RATIO: u64 = 4;

pub struct OrcFile {
    meta: Meta,
    /// All columns, and the ids of their types.
    in_file: Schema,
    ids: Vec<usize>,
    schema: SchemaRef,
    /// The wanted columns as they stand in the file.
    nodes: Vec<Node>,
    /// Place in `nodes` of each column of the schema.
    order: Vec<usize>,
    /// Each type in `nodes`.
    wanted: Vec<bool>,
    everything: bool,
    batch_rows: usize,
}

fn at_stripe(index: usize) -> impl Fn(Fail) -> Fail {
    move |e| e.before(&format!("stripe {index}"))
}

impl OrcFile {
    pub fn open(source: Arc<Source>, options: &ReadOptions) -> Outcome<OrcFile> {
        let meta = load(&source, options.bounds)?;
        let root = root(&meta).map_err(|e| e.before("its schema"))?;
        let DataType::Struct(fields) = &root.data_type else { return fail(CORRUPT, "its schema has no columns") };
        let in_file = Schema::new(fields.clone());
        let places = types::indices_of(&in_file, options.columns.as_deref())?;
        let mut passed = places.clone();
        passed.sort_unstable();
        passed.dedup();
        let mut wanted = vec![false; meta.types.len()];
        wanted[0] = true;
        for place in &passed {
            let node = &root.children[*place];
            node.check(&meta).map_err(|e| e.before(&format!("column {}", fields[*place].name())))?;
            node.each(&mut |inner| wanted[inner.id] = true);
        }
        let order = places.iter().map(|place| passed.binary_search(place).unwrap_or(0)).collect();
        let nodes = passed.iter().map(|place| root.children[*place].clone()).collect();
        let schema = Arc::new(in_file.project(&places)?);
        let ids = root.children.iter().map(|node| node.id).collect();
        let everything = wanted.iter().all(|wanted| *wanted);
        Ok(OrcFile { meta, in_file, ids, schema, nodes, order, wanted, everything, batch_rows: options.batch_rows })
    }

    /// Start and length of the streams that the wanted columns are decoded from.
    fn streams<'a>(&'a self, footer: &'a StripeFooter) -> impl Iterator<Item = (u64, u64, u64, u64)> + 'a {
        let wanted = |column: u64| usize::try_from(column).is_ok_and(|column| self.wanted.get(column) == Some(&true));
        let read = |kind: u64| matches!(kind, PRESENT | DATA | LENGTH | DICTIONARY_DATA | SECONDARY);
        let streams = footer.streams.iter().filter(move |s| s.len > 0 && read(s.kind) && wanted(s.column));
        streams.map(|s| (s.column, s.kind, s.offset, s.len))
    }

    /// By the file's statistics, taken to be the same everywhere in it.
    fn memory_bytes(&self, rows: u64, packed: u64) -> u64 {
        let all: u64 = self.meta.stripes.iter().fold(0, |sum: u64, stripe| sum.saturating_add(stripe.rows));
        let mut sum = 0u64;
        for node in &self.nodes {
            let mut repeated = usize::MAX;
            node.each(&mut |inner| {
                // What stands behind a list or a map has values of its own number.
                if matches!(inner.kind, Kind::List | Kind::Map) {
                    repeated = repeated.min(inner.id);
                }
                let total = self.meta.totals.get(inner.id).copied().unwrap_or_default();
                let values = if inner.id > repeated { total.values } else { total.values.max(all) };
                sum = sum.saturating_add(values.saturating_mul(inner.value_bytes())).saturating_add(total.text_bytes);
            });
        }
        if self.meta.totals.is_empty() {
            sum = sum.saturating_add(packed.saturating_mul(USUAL_RATIO));
        }
        let share = u128::from(sum) * u128::from(rows) / u128::from(all.max(1));
        u64::try_from(share).unwrap_or(u64::MAX).max(rows / 8)
    }

    fn part(&self, index: usize, stripe: &Stripe, packed: u64) -> Part {
        let memory_bytes = self.memory_bytes(stripe.rows, packed);
        Part { index: index as u32, offset: stripe.offset, size_bytes: packed, rows: stripe.rows as i64, memory_bytes }
    }
}

impl File for OrcFile {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn parts(&self, source: &Source, _: u64, each: &mut dyn FnMut(Part) -> Outcome<()>) -> Outcome<()> {
        let stripes = &self.meta.stripes;
        let mut sizes: Vec<u64> = stripes.iter().map(|stripe| stripe.data_bytes).collect();
        if !self.everything {
            let ranges: Vec<_> = stripes.iter().map(|stripe| (stripe.footer().0, stripe.footer().0 + stripe.footer_bytes)).collect();
            for (index, bytes) in source.read_many(&ranges)?.into_iter().enumerate() {
                let footer = stripes[index].read_footer(bytes.into(), self.meta.packing).map_err(at_stripe(index))?;
                sizes[index] = self.streams(&footer).map(|(_, _, _, len)| len).sum();
            }
        }
        for (index, stripe) in stripes.iter().enumerate().filter(|(_, stripe)| stripe.rows > 0) {
            each(self.part(index, stripe, sizes[index]))?;
        }
        Ok(())
    }

    fn bounds(&self, columns: &[String]) -> Outcome<RecordBatch> {
        let places = types::indices_of(&self.in_file, Some(columns))?;
        let columns: Vec<_> = places.iter().map(|i| (self.ids[*i], self.in_file.field(*i).data_type())).collect();
        bounds_of(&self.meta, &columns)
    }

    fn read(&self, source: Arc<Source>, part: Part, skip_rows: usize) -> Outcome<Box<dyn Batches>> {
        let index = part.index as usize;
        let Some(stripe) = self.meta.stripes.get(index) else {
            return fail(INVALID, format!("there is no stripe {index}"));
        };
        let (start, len) = stripe.footer();
        let footer = source.read(start, len as usize)?;
        let footer = stripe.read_footer(footer.into(), self.meta.packing).map_err(at_stripe(index))?;
        let pieces = Pieces::fetch(source.clone(), self.streams(&footer).map(|(_, _, start, len)| (start, len)).collect())?;
        let mut bytes = HashMap::new();
        for (column, kind, start, len) in self.streams(&footer) {
            let piece = pieces.find(start).filter(|piece| piece.len() as u64 >= len).unwrap_or_default();
            bytes.insert((column, kind), piece.slice(..piece.len().min(len as usize)));
        }
        let packed = bytes.values().map(|bytes| bytes.len() as u64).sum();
        let zone = Zone::named(&footer.zone).map_err(at_stripe(index))?;
        let streams = Streams { packing: self.meta.packing, footer: &footer, bytes, zone };
        let mut columns = Vec::new();
        for (place, node) in self.nodes.iter().enumerate() {
            columns.push(Column::open(node, &streams).map_err(|e| self.at_column(place, e)).map_err(at_stripe(index))?);
        }
        let row_bytes = (self.memory_bytes(stripe.rows, packed) / stripe.rows.max(1)).max(1);
        let batch_rows = self.batch_rows.min((BATCH_BYTES / row_bytes).max(1) as usize);
        // Values are decoded, then put to their rows, and gathered in buffers that double.
        let batch_bytes = row_bytes.saturating_mul(stripe.rows.min(batch_rows as u64)).min(BATCH_BYTES).saturating_mul(3);
        let names = (0..self.nodes.len()).map(|place| self.name(place)).collect();
        let (order, schema) = (self.order.clone(), self.schema.clone());
        Ok(Box::new(Rows { columns, names, order, schema, index, left: stripe.rows, skip: skip_rows as u64, batch_rows, batch_bytes }))
    }
}

impl OrcFile {
    fn name(&self, place: usize) -> String {
        let field = self.order.iter().position(|p| *p == place).map(|i| self.schema.field(i).name().clone());
        field.unwrap_or_default()
    }

    fn at_column(&self, place: usize, e: Fail) -> Fail {
        e.before(&format!("column {}", self.name(place)))
    }
}

struct Rows {
    columns: Vec<Column>,
    names: Vec<String>,
    order: Vec<usize>,
    schema: SchemaRef,
    index: usize,
    /// Rows that are still to be decoded, and of those how many to be dropped.
    left: u64,
    skip: u64,
    batch_rows: usize,
    /// What decoding one batch may take.
    batch_bytes: u64,
}

impl Rows {
    fn decode(&mut self, n: usize) -> Outcome<Vec<ArrayRef>> {
        check_room(self.batch_bytes)?;
        let named = self.columns.iter_mut().zip(&self.names);
        named.map(|(column, name)| column.next(n, None).map_err(|e| e.before(&format!("column {name}")))).collect()
    }
}

impl Batches for Rows {
    fn next(&mut self) -> Outcome<Option<RecordBatch>> {
        if self.skip >= self.left {
            return Ok(None);
        }
        loop {
            let n = (self.batch_rows as u64).min(self.left) as usize;
            let arrays = self.decode(n).map_err(at_stripe(self.index))?;
            self.left -= n as u64;
            let dropped = self.skip.min(n as u64) as usize;
            self.skip -= dropped as u64;
            if dropped < n {
                let arrays = self.order.iter().map(|place| arrays[*place].slice(dropped, n - dropped)).collect();
                let options = RecordBatchOptions::new().with_row_count(Some(n - dropped));
                return Ok(Some(RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options)?));
            }
        }
    }
}
