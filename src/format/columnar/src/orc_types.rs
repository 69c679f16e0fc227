// SPDX-License-Identifier: Apache-2.0
//! The types of an ORC file, a tree written down from its root on, as Arrow's.
use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, TimeUnit};

use crate::fail::{fail, Outcome, CORRUPT, UNSUPPORTED};
use crate::orc_meta::{Meta, Type};
use crate::thrift::MAX_DEPTH;

#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    Boolean,
    Byte,
    Int,
    Float,
    Double,
    Text,
    Timestamp,
    Instant,
    List,
    Map,
    Struct,
    Decimal,
    SmallDecimal,
    Unread,
}

/// A column and what is in it. `id` is its place in the list of types, by which streams name it.
#[derive(Clone)]
pub struct Node {
    pub id: usize,
    pub kind: Kind,
    /// Of a union: Null, as nothing else stands for it.
    pub data_type: DataType,
    pub children: Vec<Node>,
}

fn leaf(of: &Type, small_decimals: bool) -> Outcome<(Kind, DataType)> {
    Ok(match of.kind {
        0 => (Kind::Boolean, DataType::Boolean),
        1 => (Kind::Byte, DataType::Int8),
        2 => (Kind::Int, DataType::Int16),
        3 => (Kind::Int, DataType::Int32),
        4 => (Kind::Int, DataType::Int64),
        5 => (Kind::Float, DataType::Float32),
        6 => (Kind::Double, DataType::Float64),
        7 | 16 | 17 => (Kind::Text, DataType::Utf8),
        8 => (Kind::Text, DataType::Binary),
        9 => (Kind::Timestamp, DataType::Timestamp(TimeUnit::Nanosecond, None)),
        18 => (Kind::Instant, DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()))),
        15 => (Kind::Int, DataType::Date32),
        14 => return decimal(of, small_decimals),
        // A union, or a type of a version to come.
        _ => (Kind::Unread, DataType::Null),
    })
}

fn decimal(of: &Type, small_decimals: bool) -> Outcome<(Kind, DataType)> {
    // Hive 0.11 wrote no precision, and its digits behind the point differ from value to value.
    let (precision, scale) = if of.precision == 0 { (38, 6) } else { (of.precision, of.scale) };
    if precision > 38 || scale > precision {
        return fail(CORRUPT, format!("a decimal of {precision} digits, {scale} behind the point"));
    }
    let kind = if small_decimals && precision <= 18 { Kind::SmallDecimal } else { Kind::Decimal };
    Ok((kind, DataType::Decimal128(precision as u8, scale as i8)))
}

pub fn field(name: &str, node: &Node) -> Field {
    Field::new(name, node.data_type.clone(), true)
}

struct Tree<'a> {
    meta: &'a Meta,
    /// The id that comes next: children stand behind their parent in order.
    next: usize,
}

impl Tree<'_> {
    fn node(&mut self, depth: usize) -> Outcome<Node> {
        let id = self.next;
        let Some(of) = self.meta.types.get(id) else { return fail(CORRUPT, "its types are not all there") };
        if depth > MAX_DEPTH {
            return fail(CORRUPT, format!("its schema is nested more than {MAX_DEPTH} deep"));
        }
        self.next += 1;
        let mut children = Vec::new();
        for child in &of.children {
            if *child != self.next as u64 {
                return fail(CORRUPT, format!("type {child} stands in the place of type {}", self.next));
            }
            children.push(self.node(depth + 1)?);
        }
        let (kind, data_type) = match (of.kind, children.as_slice()) {
            (10, [item]) => (Kind::List, DataType::List(Arc::new(field("item", item)))),
            (11, [key, value]) => (Kind::Map, map_of(key, value)),
            (12, _) => (Kind::Struct, DataType::Struct(fields_of(of, &children)?)),
            (10 | 11, _) => return fail(CORRUPT, format!("type {id} has {} types inside", children.len())),
            (13, _) => (Kind::Unread, DataType::Null),
            _ => leaf(of, self.meta.small_decimals)?,
        };
        Ok(Node { id, kind, data_type, children })
    }
}

fn fields_of(of: &Type, children: &[Node]) -> Outcome<Fields> {
    if of.names.len() != children.len() {
        return fail(CORRUPT, format!("{} names for {} columns", of.names.len(), children.len()));
    }
    Ok(of.names.iter().zip(children).map(|(name, child)| field(name, child)).collect())
}

fn map_of(key: &Node, value: &Node) -> DataType {
    let entries = vec![field("key", key).with_nullable(false), field("value", value)];
    DataType::Map(Arc::new(Field::new("entries", DataType::Struct(entries.into()), false)), false)
}

/// The struct that a row is, and the names in it.
pub fn root(meta: &Meta) -> Outcome<Node> {
    let root = Tree { meta, next: 0 }.node(0)?;
    if root.kind != Kind::Struct {
        return fail(UNSUPPORTED, "its rows are no structs, so its columns have no names");
    }
    Ok(root)
}

impl Node {
    /// Fails if something in it cannot be held.
    pub fn check(&self, meta: &Meta) -> Outcome<()> {
        if self.kind == Kind::Unread {
            return match meta.types[self.id].kind {
                13 => fail(UNSUPPORTED, "union types are not supported"),
                other => fail(UNSUPPORTED, format!("its type has the number {other}, which this version does not know")),
            };
        }
        self.children.iter().try_for_each(|child| child.check(meta))
    }

    /// Bytes of a value, without those of what is in it.
    pub fn value_bytes(&self) -> u64 {
        match self.kind {
            Kind::Text | Kind::List | Kind::Map => 4,
            _ => self.data_type.primitive_width().map_or(1, |bytes| bytes as u64),
        }
    }

    pub fn each(&self, f: &mut impl FnMut(&Node)) {
        f(self);
        self.children.iter().for_each(|child| child.each(f));
    }
}
