// SPDX-License-Identifier: Apache-2.0
//! What the footer of a Parquet file says of the values in its row groups. What cannot be relied on is null: statistics of the deprecated
//! kind, which older writers compared as signed bytes, and those whose order the file does not define.
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, Int64Array, NullArray, RecordBatch, UInt64Array};
use arrow_schema::{Field, Schema};
use arrow_select::nullif::nullif;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::basic::{ColumnOrder, SortOrder};
use parquet::errors::Result;
use parquet::file::metadata::ParquetMetaData;

use crate::fail::Outcome;

fn is_ordered(meta: &ParquetMetaData, leaf: usize) -> bool {
    match meta.file_metadata().column_orders().and_then(|orders| orders.get(leaf)) {
        Some(ColumnOrder::TYPE_DEFINED_ORDER(order)) => *order != SortOrder::UNDEFINED,
        Some(ColumnOrder::IEEE_754_TOTAL_ORDER) => true,
        _ => false,
    }
}

/// By row group: its bounds say nothing.
fn unreliable(meta: &ParquetMetaData, leaf: Option<usize>) -> BooleanArray {
    let ordered = leaf.is_some_and(|leaf| is_ordered(meta, leaf));
    let deprecated = |group: usize| {
        let statistics = leaf.and_then(|leaf| meta.row_group(group).column(leaf).statistics());
        statistics.is_none_or(|s| s.is_min_max_deprecated())
    };
    (0..meta.num_row_groups()).map(|group| Some(!ordered || deprecated(group))).collect()
}

/// Nulls where the crate does not know how the type's statistics are to be read.
fn reliable(bound: Result<ArrayRef>, unreliable: &BooleanArray) -> Outcome<ArrayRef> {
    match bound {
        Ok(bound) => Ok(nullif(&bound, unreliable)?),
        Err(_) => Ok(Arc::new(NullArray::new(unreliable.len()))),
    }
}

fn counts(nulls: &UInt64Array) -> Int64Array {
    nulls.iter().map(|n| n.and_then(|n| i64::try_from(n).ok())).collect()
}

/// A row for each row group; of each column the least value, the greatest, and the count of nulls.
pub fn bounds_of(reader: &ArrowReaderMetadata, columns: &[String]) -> Outcome<RecordBatch> {
    let meta = reader.metadata();
    let (mut fields, mut arrays) = (Vec::new(), Vec::<ArrayRef>::new());
    for (i, column) in columns.iter().enumerate() {
        let of = StatisticsConverter::try_new(column, reader.schema(), reader.parquet_schema())?
            .with_missing_null_counts_as_zero(false)
            .with_column_orders(meta.file_metadata().column_orders().map(|orders| orders.as_slice()));
        let unreliable = unreliable(meta, of.parquet_column_index());
        arrays.push(reliable(of.row_group_mins(meta.row_groups()), &unreliable)?);
        arrays.push(reliable(of.row_group_maxes(meta.row_groups()), &unreliable)?);
        arrays.push(Arc::new(counts(&of.row_group_null_counts(meta.row_groups())?)));
        for (name, array) in ["least", "greatest", "nulls"].iter().zip(&arrays[i * 3..]) {
            fields.push(Field::new(format!("{name} {i}"), array.data_type().clone(), true));
        }
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
}
