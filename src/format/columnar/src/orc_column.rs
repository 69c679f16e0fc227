// SPDX-License-Identifier: Apache-2.0
//! The columns of a stripe: streams decoded to arrays, some rows at a time.
use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::types::*;
use arrow_array::*;
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, FieldRef, Fields};
use bytes::Bytes;

use crate::fail::{fail, Fail, Outcome, CORRUPT, INTERNAL};
use crate::orc_meta::{Encoding, StripeFooter};
use crate::orc_runs::{Bits, ByteRuns, Ints};
use crate::orc_stream::{reserve, Packing, Stream};
use crate::orc_text::Text;
use crate::orc_types::{Kind, Node};
use crate::orc_zone::Zone;

pub const PRESENT: u64 = 0;
pub const DATA: u64 = 1;
pub const LENGTH: u64 = 2;
pub const DICTIONARY_DATA: u64 = 3;
pub const SECONDARY: u64 = 5;

/// The streams of a stripe that were fetched, and how to read them.
pub struct Streams<'a> {
    pub packing: Packing,
    pub footer: &'a StripeFooter,
    /// By column and kind.
    pub bytes: HashMap<(u64, u64), Bytes>,
    pub zone: Zone,
}

impl Streams<'_> {
    /// A stream that is not there is an empty one: a column of nothing but nulls has no data.
    pub fn stream(&self, node: &Node, kind: u64) -> Stream {
        Stream::new(self.packing, self.bytes.get(&(node.id as u64, kind)).cloned().unwrap_or_default())
    }

    pub fn encoding(&self, node: &Node) -> Outcome<Encoding> {
        match self.footer.encodings.get(node.id) {
            Some(encoding) if encoding.kind <= 3 => Ok(*encoding),
            Some(encoding) => fail(CORRUPT, format!("its encoding has the number {}, which is none", encoding.kind)),
            None => fail(CORRUPT, "the stripe does not say how it is encoded"),
        }
    }

    pub fn ints(&self, node: &Node, kind: u64, signed: bool) -> Outcome<Ints> {
        Ok(Ints::new(self.stream(node, kind), self.encoding(node)?.kind >= 2, signed))
    }
}

enum Values {
    Bits(Bits),
    Bytes(ByteRuns),
    Ints(Ints),
    Floats(Stream),
    Text(Text),
    Timestamps(Ints, Ints, Zone),
    /// Digits, and how many of them stand behind the point.
    Decimals(Stream, Ints),
    List(Ints, Box<Column>),
    Map(Ints, Box<[Column; 2]>),
    Struct(Vec<Column>),
}

pub struct Column {
    present: Option<Bits>,
    values: Values,
    data_type: DataType,
}

pub fn length(n: i64) -> Option<i32> {
    i32::try_from(n).ok().filter(|n| *n >= 0)
}

/// Offsets of the rows, nulls among them, from the lengths of those that are there.
pub fn offsets(lengths: &[i32], rows: usize, valid: Option<&NullBuffer>) -> Outcome<OffsetBuffer<i32>> {
    let total: u64 = lengths.iter().map(|n| *n as u64).sum();
    if total > i32::MAX as u64 {
        return Err(Fail::from(arrow_schema::ArrowError::OffsetOverflowError(total as usize)));
    }
    let mut all = Vec::new();
    reserve(&mut all, rows + 1)?;
    all.push(0i32);
    let (mut lengths, mut end) = (lengths.iter(), 0);
    for row in 0..rows {
        if valid.is_none_or(|valid| valid.is_valid(row)) {
            end += lengths.next().copied().unwrap_or(0);
        }
        all.push(end);
    }
    Ok(OffsetBuffer::new(all.into()))
}

/// Values put to where the rows are that have one.
fn spread<T: Copy + Default>(dense: Vec<T>, valid: Option<&NullBuffer>) -> Outcome<Vec<T>> {
    let Some(valid) = valid else { return Ok(dense) };
    let mut all = Vec::new();
    reserve(&mut all, valid.len())?;
    all.resize(valid.len(), T::default());
    for (row, value) in valid.valid_indices().zip(dense) {
        all[row] = value;
    }
    Ok(all)
}

fn spread_bits(dense: BooleanBuffer, valid: Option<&NullBuffer>) -> BooleanBuffer {
    let Some(valid) = valid else { return dense };
    let mut all = BooleanBufferBuilder::new(valid.len());
    all.append_n(valid.len(), false);
    for (at, row) in valid.valid_indices().enumerate() {
        all.set_bit(row, dense.value(at));
    }
    all.finish()
}

impl Column {
    pub fn open(node: &Node, from: &Streams) -> Outcome<Column> {
        let child = |i: usize| Column::open(&node.children[i], from);
        let values = match node.kind {
            Kind::Boolean => Values::Bits(Bits::new(from.stream(node, DATA))),
            Kind::Byte => Values::Bytes(ByteRuns::new(from.stream(node, DATA))),
            Kind::Int | Kind::SmallDecimal => Values::Ints(from.ints(node, DATA, true)?),
            Kind::Float | Kind::Double => Values::Floats(from.stream(node, DATA)),
            Kind::Text => Values::Text(Text::open(node, from)?),
            Kind::Timestamp => Values::Timestamps(from.ints(node, DATA, true)?, from.ints(node, SECONDARY, false)?, from.zone),
            Kind::Instant => Values::Timestamps(from.ints(node, DATA, true)?, from.ints(node, SECONDARY, false)?, Zone::UTC),
            Kind::Decimal => Values::Decimals(from.stream(node, DATA), from.ints(node, SECONDARY, true)?),
            Kind::List => Values::List(from.ints(node, LENGTH, false)?, Box::new(child(0)?)),
            Kind::Map => Values::Map(from.ints(node, LENGTH, false)?, Box::new([child(0)?, child(1)?])),
            Kind::Struct => Values::Struct((0..node.children.len()).map(child).collect::<Outcome<_>>()?),
            Kind::Unread => return fail(INTERNAL, "a column that cannot be read"),
        };
        let present = from.bytes.get(&(node.id as u64, PRESENT)).map(|bytes| Bits::new(Stream::new(from.packing, bytes.clone())));
        Ok(Column { present, values, data_type: node.data_type.clone() })
    }

    /// Which of the next `n` rows have a value. A column in a struct says nothing of the rows that have no struct.
    fn validity(&mut self, n: usize, parent: Option<&NullBuffer>) -> Outcome<Option<NullBuffer>> {
        let Some(present) = &mut self.present else { return Ok(parent.cloned()) };
        let own = present.take(n - parent.map_or(0, |p| p.null_count()))?;
        let valid = NullBuffer::new(spread_bits(own, parent));
        Ok((valid.null_count() > 0).then_some(valid))
    }

    /// The next `n` rows; `parent`: those in which the struct around it is.
    pub fn next(&mut self, n: usize, parent: Option<&NullBuffer>) -> Outcome<ArrayRef> {
        let valid = self.validity(n, parent)?;
        let (nulls, m) = (valid.as_ref(), n - valid.as_ref().map_or(0, |v| v.null_count()));
        let numbers = |ints: &mut Ints| ints_of(ints, &self.data_type, m, valid.clone());
        Ok(match &mut self.values {
            Values::Bits(bits) => Arc::new(BooleanArray::new(spread_bits(bits.take(m)?, nulls), valid)),
            Values::Bytes(bytes) => {
                let mut dense = Vec::new();
                bytes.take(m, &mut dense)?;
                let dense = dense.into_iter().map(|byte| byte as i8).collect();
                Arc::new(Int8Array::try_new(ScalarBuffer::from(spread::<i8>(dense, nulls)?), valid)?)
            }
            Values::Ints(ints) => numbers(ints)?,
            Values::Floats(stream) if self.data_type == DataType::Float32 => floats::<Float32Type, 4>(stream, m, valid, |bytes| f32::from_le_bytes(bytes))?,
            Values::Floats(stream) => floats::<Float64Type, 8>(stream, m, valid, |bytes| f64::from_le_bytes(bytes))?,
            Values::Text(text) => text.next(n, m, valid)?,
            Values::Timestamps(seconds, packed, zone) => timestamps(seconds, packed, *zone, m, valid, &self.data_type)?,
            Values::Decimals(digits, scales) => decimals(digits, scales, &self.data_type, m, valid)?,
            Values::List(lengths, item) => {
                let offsets = offsets(&lengths_of(lengths, m)?, n, nulls)?;
                let items = item.next(offsets.last() as usize, None)?;
                let DataType::List(field) = &self.data_type else { return mismatch() };
                Arc::new(ListArray::try_new(field.clone(), offsets, items, valid)?)
            }
            Values::Map(lengths, entry) => {
                let offsets = offsets(&lengths_of(lengths, m)?, n, nulls)?;
                map_of(offsets, entry, &self.data_type, valid)?
            }
            Values::Struct(columns) => {
                let DataType::Struct(fields) = &self.data_type else { return mismatch() };
                struct_of(fields, columns, n, valid)?
            }
        })
    }
}

fn mismatch<T>() -> Outcome<T> {
    fail(INTERNAL, "its type and its decoder differ")
}

fn lengths_of(lengths: &mut Ints, m: usize) -> Outcome<Vec<i32>> {
    let mut all = Vec::new();
    lengths.take(m, &mut all, length)?;
    Ok(all)
}

fn map_of(offsets: OffsetBuffer<i32>, entry: &mut [Column; 2], data_type: &DataType, valid: Option<NullBuffer>) -> Outcome<ArrayRef> {
    let n = offsets.last() as usize;
    let inner: Option<(&FieldRef, &Fields)> = match data_type {
        DataType::Map(field, _) => match field.data_type() {
            DataType::Struct(fields) => Some((field, fields)),
            _ => None,
        },
        _ => None,
    };
    let Some((field, fields)) = inner else { return mismatch() };
    let [key, value] = entry;
    let entries = StructArray::try_new(fields.clone(), vec![key.next(n, None)?, value.next(n, None)?], None)?;
    Ok(Arc::new(MapArray::try_new(field.clone(), offsets, entries, valid, false)?))
}

fn struct_of(fields: &Fields, columns: &mut [Column], n: usize, valid: Option<NullBuffer>) -> Outcome<ArrayRef> {
    if columns.is_empty() {
        return Ok(Arc::new(StructArray::new_empty_fields(n, valid)));
    }
    let mut children = Vec::new();
    for (column, field) in columns.iter_mut().zip(fields) {
        children.push(column.next(n, valid.as_ref()).map_err(|e| e.before(&format!("field {}", field.name())))?);
    }
    Ok(Arc::new(StructArray::try_new(fields.clone(), children, valid)?))
}

fn numbers<T: ArrowPrimitiveType>(
    ints: &mut Ints, m: usize, valid: Option<NullBuffer>, as_value: impl Fn(i64) -> Option<T::Native>,
) -> Outcome<PrimitiveArray<T>> {
    let mut dense = Vec::new();
    ints.take(m, &mut dense, as_value)?;
    Ok(PrimitiveArray::try_new(ScalarBuffer::from(spread(dense, valid.as_ref())?), valid)?)
}

fn ints_of(ints: &mut Ints, data_type: &DataType, m: usize, valid: Option<NullBuffer>) -> Outcome<ArrayRef> {
    Ok(match data_type {
        DataType::Int16 => Arc::new(numbers::<Int16Type>(ints, m, valid, |n| n.try_into().ok())?),
        DataType::Int32 => Arc::new(numbers::<Int32Type>(ints, m, valid, |n| n.try_into().ok())?),
        DataType::Int64 => Arc::new(numbers::<Int64Type>(ints, m, valid, Some)?),
        DataType::Date32 => Arc::new(numbers::<Date32Type>(ints, m, valid, |n| n.try_into().ok())?),
        DataType::Decimal128(_, _) => {
            let array = numbers::<Decimal128Type>(ints, m, valid, |n| Some(i128::from(n)))?;
            Arc::new(array.with_data_type(data_type.clone()))
        }
        _ => return mismatch(),
    })
}

fn floats<T: ArrowPrimitiveType, const N: usize>(
    stream: &mut Stream, m: usize, valid: Option<NullBuffer>, as_value: impl Fn([u8; N]) -> T::Native,
) -> Outcome<ArrayRef> {
    let (mut bytes, mut dense) = (Vec::new(), Vec::new());
    stream.append(m.saturating_mul(N), &mut bytes)?;
    reserve(&mut dense, m)?;
    dense.extend(bytes.as_chunks::<N>().0.iter().map(|chunk| as_value(*chunk)));
    Ok(Arc::new(PrimitiveArray::<T>::try_new(ScalarBuffer::from(spread(dense, valid.as_ref())?), valid)?))
}

fn timestamps(seconds: &mut Ints, packed: &mut Ints, zone: Zone, m: usize, valid: Option<NullBuffer>, data_type: &DataType) -> Outcome<ArrayRef> {
    let (mut s, mut p, mut dense) = (Vec::new(), Vec::new(), Vec::new());
    seconds.take(m, &mut s, Some)?;
    packed.take(m, &mut p, Some)?;
    reserve(&mut dense, m)?;
    for (s, p) in s.into_iter().zip(p) {
        dense.push(zone.nanos(s, p)?);
    }
    let array = TimestampNanosecondArray::try_new(ScalarBuffer::from(spread(dense, valid.as_ref())?), valid)?;
    Ok(Arc::new(array.with_data_type(data_type.clone())))
}

/// `digits` with `scale` of them behind the point, as many as the column has.
fn rescaled(digits: i128, scale: i64, wanted: i64) -> Option<i128> {
    let by = 10i128.checked_pow(u32::try_from((wanted - scale).unsigned_abs()).ok()?)?;
    if scale <= wanted {
        digits.checked_mul(by)
    } else {
        Some(digits / by)
    }
}

fn decimals(digits: &mut Stream, scales: &mut Ints, data_type: &DataType, m: usize, valid: Option<NullBuffer>) -> Outcome<ArrayRef> {
    let DataType::Decimal128(precision, scale) = *data_type else { return mismatch() };
    let (wanted, limit) = (i64::from(scale), 10i128.pow(u32::from(precision)));
    let (mut s, mut dense) = (Vec::new(), Vec::new());
    scales.take(m, &mut s, |n| (-127..128).contains(&n).then_some(n))?;
    for scale in s {
        let value = digits.wide()?;
        let Some(value) = rescaled(value, scale, wanted).filter(|v| (1 - limit..limit).contains(v)) else {
            return fail(CORRUPT, format!("the decimal {value} with {scale} digits behind the point is beyond its type"));
        };
        reserve(&mut dense, 1)?;
        dense.push(value);
    }
    let array = Decimal128Array::try_new(ScalarBuffer::from(spread(dense, valid.as_ref())?), valid)?;
    Ok(Arc::new(array.with_data_type(data_type.clone())))
}
