// SPDX-License-Identifier: Apache-2.0
//! How deep the schema in a Parquet footer is nested (fields as in parquet.thrift). The crate builds the schema by recursion, so a footer made for it
//! overflows the stack: depth must be known before.
pub use crate::thrift::MAX_DEPTH;
use crate::thrift::{Walk, LIST};

const SCHEMA_FIELD: i16 = 2; // FileMetaData.schema
const CHILDREN_FIELD: i16 = 5; // SchemaElement.num_children

fn children(walk: &mut Walk) -> Option<u64> {
    let (mut last, mut children) = (0, 0);
    while let Some((id, kind)) = walk.field(last)? {
        match (id, kind) {
            (CHILDREN_FIELD, 4..=6) => children = u64::try_from(walk.zigzag()?).ok()?,
            _ => walk.skip(kind, false, 0)?,
        }
        last = id;
    }
    Some(children)
}

fn depth_of_list(walk: &mut Walk) -> Option<usize> {
    let (size, _) = walk.list()?;
    let (mut open, mut deepest) = (Vec::new(), 0);
    for _ in 0..size {
        let children = children(walk)?;
        while open.last() == Some(&0u64) {
            open.pop();
        }
        if let Some(left) = open.last_mut() {
            *left -= 1;
        }
        open.push(children);
        deepest = deepest.max(open.len());
        if deepest > MAX_DEPTH {
            break;
        }
    }
    Some(deepest)
}

/// None when the footer does not parse: then the crate, which parses it as well, says so better.
pub fn depth(footer: &[u8]) -> Option<usize> {
    let (mut walk, mut last) = (Walk { rest: footer }, 0);
    while let Some((id, kind)) = walk.field(last)? {
        if id == SCHEMA_FIELD && kind == LIST {
            return depth_of_list(&mut walk);
        }
        walk.skip(kind, false, 0)?;
        last = id;
    }
    None
}
