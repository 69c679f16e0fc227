// SPDX-License-Identifier: Apache-2.0
//! What an ORC file says of the values in its stripes. Null where it cannot be relied on: types whose order writers have had wrong, NaN, and texts of
//! writers before HIVE-8732.
use std::sync::Arc;

use arrow_array::types::*;
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, Int64Array, NullArray, PrimitiveArray, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};

use crate::fail::Outcome;
use crate::orc_meta::Meta;
use crate::protobuf::Walk;

#[derive(Clone, Default)]
enum Bound {
    #[default]
    Unknown,
    Whole(i64),
    Real(f64),
    Text(String),
}

/// Of one column in one stripe.
#[derive(Clone, Default)]
pub struct Known {
    least: Bound,
    greatest: Bound,
    values: Option<u64>,
}

/// By stripe and type.
pub type Statistics = Vec<Vec<Known>>;

/// Ids of ColumnStatistics.
const WHOLE: u64 = 2;
const REAL: u64 = 3;
const TEXT: u64 = 4;
const DAY: u64 = 7;

fn known(mut walk: Walk) -> Outcome<Known> {
    let mut known = Known::default();
    while let Some((id, value)) = walk.next()? {
        if id == 1 {
            known.values = Some(value.number()?);
        }
        if ![WHOLE, REAL, TEXT, DAY].contains(&id) {
            continue;
        }
        let mut inner = value.message()?;
        while let Some((which, value)) = inner.next()? {
            // Of texts that were cut: bounds all the same.
            let to = match (id, which) {
                (_, 1) | (TEXT, 4) => &mut known.least,
                (_, 2) | (TEXT, 5) => &mut known.greatest,
                _ => continue,
            };
            *to = match id {
                WHOLE | DAY => Bound::Whole(value.signed()?),
                REAL => Bound::Real(f64::from_bits(value.number()?)),
                _ => Bound::Text(value.text()?),
            };
        }
    }
    Ok(known)
}

/// The section of the file that is called its metadata.
pub fn statistics(section: &[u8]) -> Outcome<Statistics> {
    let (mut all, mut walk) = (Vec::new(), Walk::new(section));
    while let Some((id, value)) = walk.next()? {
        let (mut stripe, mut inner) = (Vec::new(), value.message()?);
        while let (1, Some((inner_id, value))) = (id, inner.next()?) {
            if inner_id == 1 {
                stripe.push(known(value.message()?)?);
            }
        }
        if id == 1 {
            all.push(stripe);
        }
    }
    Ok(all)
}

fn numbers<T: ArrowPrimitiveType>(bounds: &[Bound], as_value: impl Fn(&Bound) -> Option<T::Native>) -> ArrayRef {
    Arc::new(PrimitiveArray::<T>::from_iter(bounds.iter().map(as_value)))
}

fn whole<T: TryFrom<i64>>(bound: &Bound) -> Option<T> {
    match bound {
        Bound::Whole(n) => T::try_from(*n).ok(),
        _ => None,
    }
}

fn real(bound: &Bound) -> Option<f64> {
    match bound {
        Bound::Real(n) if !n.is_nan() => Some(*n),
        _ => None,
    }
}

/// As an array of the column's type.
fn array_of(data_type: &DataType, bounds: &[Bound], texts: bool) -> ArrayRef {
    let text = |bound: &Bound| match bound {
        Bound::Text(text) => Some(text.clone()),
        _ => None,
    };
    match data_type {
        DataType::Int8 => numbers::<Int8Type>(bounds, whole),
        DataType::Int16 => numbers::<Int16Type>(bounds, whole),
        DataType::Int32 => numbers::<Int32Type>(bounds, whole),
        DataType::Int64 => numbers::<Int64Type>(bounds, whole),
        DataType::Date32 => numbers::<Date32Type>(bounds, whole),
        DataType::Float64 => numbers::<Float64Type>(bounds, real),
        DataType::Utf8 if texts => Arc::new(StringArray::from_iter(bounds.iter().map(text))),
        _ => Arc::new(NullArray::new(bounds.len())),
    }
}

/// A row for each stripe; of each column, which are fields with the ids of their types, the least value, the greatest, and the count of nulls.
pub fn bounds_of(meta: &Meta, columns: &[(usize, &DataType)]) -> Outcome<RecordBatch> {
    let (mut fields, mut arrays) = (Vec::new(), Vec::<ArrayRef>::new());
    for (i, (id, data_type)) in columns.iter().enumerate() {
        let known = |stripe: usize| meta.statistics.get(stripe).and_then(|all| all.get(*id)).cloned().unwrap_or_default();
        let all: Vec<Known> = (0..meta.stripes.len()).map(known).collect();
        let (least, greatest): (Vec<Bound>, Vec<Bound>) = all.iter().map(|k| (k.least.clone(), k.greatest.clone())).unzip();
        // Those of char and varchar may be of the value before it was padded or cut.
        let texts = meta.ordered_texts && meta.types[*id].kind == 7;
        let nulls = all.iter().zip(&meta.stripes).map(|(k, stripe)| k.values.and_then(|n| stripe.rows.checked_sub(n)).map(|n| n as i64));
        arrays.push(array_of(data_type, &least, texts));
        arrays.push(array_of(data_type, &greatest, texts));
        arrays.push(Arc::new(Int64Array::from_iter(nulls)));
        for (name, array) in ["least", "greatest", "nulls"].iter().zip(&arrays[i * 3..]) {
            fields.push(Field::new(format!("{name} {i}"), array.data_type().clone(), true));
        }
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
}
