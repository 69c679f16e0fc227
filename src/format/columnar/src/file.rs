// SPDX-License-Identifier: Apache-2.0
//! What every format offers: an open file, its parts, and batches of one part.
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

use crate::fail::{fail, Outcome, UNSUPPORTED};
use crate::source::Source;

/// `ghee_columnar_part`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Part {
    pub index: u32,
    pub offset: u64,
    pub size_bytes: u64,
    pub rows: i64,
    pub memory_bytes: u64,
}

pub struct ReadOptions {
    pub columns: Option<Vec<String>>,
    pub batch_rows: usize,
    pub schema: Option<SchemaRef>,
    pub delimiter: u8,
    pub header: bool,
    pub null: Option<String>,
    /// `bounds` will be asked for.
    pub bounds: bool,
}

/// Immutable once open, so any thread may read from it.
pub trait File: Send + Sync {
    /// After projection.
    fn schema(&self) -> &SchemaRef;
    fn parts(&self, source: &Source, text_part_bytes: u64, each: &mut dyn FnMut(Part) -> Outcome<()>) -> Outcome<()>;
    /// As `ghee_columnar_bounds`.
    fn bounds(&self, _columns: &[String]) -> Outcome<RecordBatch> {
        fail(UNSUPPORTED, "files of this format say nothing of their values")
    }
    fn read(&self, source: Arc<Source>, part: Part, skip_rows: usize) -> Outcome<Box<dyn Batches>>;
}

/// Batches with the schema of the file they come from.
pub trait Batches {
    fn next(&mut self) -> Outcome<Option<RecordBatch>>;
}
