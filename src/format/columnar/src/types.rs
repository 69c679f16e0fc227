// SPDX-License-Identifier: Apache-2.0
//! Types: what ghee does not carry mapped to what it does, projection by name, and arrays made to fit.
use std::sync::Arc;

use arrow_array::{make_array, Array, ArrayRef, NullArray, RecordBatch, RecordBatchOptions};
use arrow_data::ArrayData;
use arrow_schema::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};

use crate::fail::{fail, Outcome, CORRUPT, NOT_FOUND, UNSUPPORTED};

/// Rewrites the types of a schema from the leaves up; `f` sees each type with its children done.
pub fn map_schema(schema: &Schema, f: &impl Fn(DataType) -> DataType) -> Schema {
    let fields: Vec<FieldRef> = schema.fields().iter().map(|x| map_field(x, f)).collect();
    Schema::new_with_metadata(fields, schema.metadata().clone())
}

fn map_field(field: &FieldRef, f: &impl Fn(DataType) -> DataType) -> FieldRef {
    let mapped = map_type(field.data_type(), f);
    if mapped == *field.data_type() {
        return field.clone();
    }
    Arc::new(field.as_ref().clone().with_data_type(mapped))
}

fn map_type(data_type: &DataType, f: &impl Fn(DataType) -> DataType) -> DataType {
    use DataType::*;
    f(match data_type {
        List(x) => List(map_field(x, f)),
        LargeList(x) => LargeList(map_field(x, f)),
        ListView(x) => ListView(map_field(x, f)),
        LargeListView(x) => LargeListView(map_field(x, f)),
        FixedSizeList(x, n) => FixedSizeList(map_field(x, f), *n),
        Map(x, sorted) => Map(map_field(x, f), *sorted),
        Struct(fields) => Struct(fields.iter().map(|x| map_field(x, f)).collect::<Fields>()),
        Dictionary(k, v) => Dictionary(k.clone(), Box::new(map_type(v, f))),
        RunEndEncoded(k, v) => RunEndEncoded(k.clone(), map_field(v, f)),
        other => other.clone(),
    })
}

/// Views, run-ends and narrow decimals in their plain forms.
pub fn plain(data_type: DataType) -> DataType {
    use DataType::*;
    match data_type {
        Utf8View => Utf8,
        BinaryView => Binary,
        ListView(x) => List(x),
        LargeListView(x) => LargeList(x),
        RunEndEncoded(_, values) => values.data_type().clone(),
        Decimal32(p, s) | Decimal64(p, s) => Decimal128(p, s),
        other => other,
    }
}

pub fn without_dictionary(data_type: DataType) -> DataType {
    match data_type {
        DataType::Dictionary(_, values) => *values,
        other => other,
    }
}

/// The types that text is written with and, but for what a format parses by itself, read as.
pub fn as_text(data_type: DataType) -> DataType {
    duration_as_number(zones_as_utc(without_dictionary(data_type)))
}

/// Text knows no named zones (their tables are not in this build): instants are written and parsed in UTC.
pub fn zones_as_utc(data_type: DataType) -> DataType {
    match data_type {
        DataType::Timestamp(unit, Some(_)) => DataType::Timestamp(unit, Some("+00:00".into())),
        other => other,
    }
}

/// Text holds a duration as its number of units.
pub fn duration_as_number(data_type: DataType) -> DataType {
    match data_type {
        DataType::Duration(_) => DataType::Int64,
        other => other,
    }
}

/// A column whose values the head does not show is text.
pub fn null_as_text(data_type: DataType) -> DataType {
    match data_type {
        DataType::Null => DataType::Utf8,
        other => other,
    }
}

/// Fails for a column in which `found` holds for a type, at any depth.
pub fn refuse(schema: &Schema, found: impl Fn(&DataType) -> bool, why: &str) -> Outcome<()> {
    for field in schema.fields() {
        let alone = Schema::new(vec![field.clone()]);
        for inner in alone.flattened_fields() {
            let data_type = without_dictionary(inner.data_type().clone());
            if found(&data_type) {
                return fail(UNSUPPORTED, format!("column {}: {data_type} {why}", field.name()));
            }
        }
    }
    Ok(())
}

pub fn refuse_unions(schema: &Schema) -> Outcome<()> {
    refuse(schema, |t| matches!(t, DataType::Union(_, _)), "is not supported")
}

/// Indices of `columns` in `schema`; all of them for None.
pub fn indices_of(schema: &Schema, columns: Option<&[String]>) -> Outcome<Vec<usize>> {
    let Some(columns) = columns else {
        return Ok((0..schema.fields().len()).collect());
    };
    let find = |name: &String| match schema.fields().iter().position(|f| f.name() == name) {
        Some(i) => Ok(i),
        None => fail(NOT_FOUND, format!("there is no column {name}; there are {}", names_of(schema))),
    };
    columns.iter().map(find).collect()
}

pub fn names_of(schema: &Schema) -> String {
    let names: Vec<&str> = schema.fields().iter().take(100).map(|f| f.name().as_str()).collect();
    let more = if schema.fields().len() > 100 { ", …" } else { "" };
    format!("{}{more}", names.join(", "))
}

/// The columns of `batch` cast to the types of `schema` (same columns in the same order).
pub fn conform(batch: RecordBatch, schema: &SchemaRef) -> Outcome<RecordBatch> {
    let rows = batch.num_rows();
    let fit = |(column, field): (&ArrayRef, &FieldRef)| -> Outcome<ArrayRef> {
        let (have, want) = (column.data_type(), field.data_type());
        if have == want {
            return Ok(column.clone());
        }
        if *want == DataType::Null {
            return match column.null_count() == column.len() {
                true => Ok(Arc::new(NullArray::new(column.len()))),
                false => fail(CORRUPT, format!("column {} has values, but its type is null", field.name())),
            };
        }
        if have.equals_datatype(want) || map_type(have, &zones_as_utc).equals_datatype(&map_type(want, &zones_as_utc)) {
            return Ok(make_array(relabel(column.to_data(), want)?));
        }
        Ok(arrow_cast::cast(column, want)?)
    };
    let columns: Vec<ArrayRef> = batch.columns().iter().zip(schema.fields()).map(fit).collect::<Outcome<_>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?)
}

/// The same buffers under a type that differs in field names or time zones only.
fn relabel(data: ArrayData, want: &DataType) -> Outcome<ArrayData> {
    use DataType::*;
    let inner: Vec<DataType> = match want {
        List(x) | LargeList(x) | FixedSizeList(x, _) | Map(x, _) => vec![x.data_type().clone()],
        Struct(fields) => fields.iter().map(|x| x.data_type().clone()).collect(),
        Dictionary(_, values) => vec![values.as_ref().clone()],
        _ => Vec::new(),
    };
    let children = data.child_data().iter().zip(&inner).map(|(d, t)| relabel(d.clone(), t)).collect::<Outcome<_>>()?;
    Ok(data.into_builder().data_type(want.clone()).child_data(children).build()?)
}

pub fn schema_of_fields(fields: Vec<Field>) -> SchemaRef {
    Arc::new(Schema::new(fields))
}
