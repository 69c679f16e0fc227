// SPDX-License-Identifier: Apache-2.0
//! What the header of a dictionary page claims (fields as in parquet.thrift). The crate fills memory for as many values as are claimed before it reads
//! one: a damaged header of a few bytes may ask for 16 GiB.
use parquet::basic::Type;
use parquet::file::metadata::ColumnChunkMetaData;

use crate::thrift::{Walk, STRUCT};

const PAGE_TYPE_FIELD: i16 = 1; // PageHeader.type
const SIZE_FIELD: i16 = 2; // PageHeader.uncompressed_page_size
const DICTIONARY_FIELD: i16 = 7; // PageHeader.dictionary_page_header
const COUNT_FIELD: i16 = 1; // DictionaryPageHeader.num_values
const DICTIONARY_PAGE: i64 = 2; // PageType

fn number(walk: &mut Walk, wanted: i16) -> Option<i64> {
    let (mut last, mut found) = (0, 0);
    while let Some((id, kind)) = walk.field(last)? {
        match (id == wanted, kind) {
            (true, 4..=6) => found = walk.zigzag()?,
            _ => walk.skip(kind, false, 0)?,
        }
        last = id;
    }
    Some(found)
}

/// Values and bytes of the dictionary whose page begins here, None inside where it is another page; None where no page begins.
fn claim(page: &[u8]) -> Option<Option<(i64, i64)>> {
    let (mut walk, mut last) = (Walk { rest: page }, 0);
    let (mut page_type, mut bytes, mut values) = (0, 0, 0);
    while let Some((id, kind)) = walk.field(last)? {
        match (id, kind) {
            (PAGE_TYPE_FIELD, 4..=6) => page_type = walk.zigzag()?,
            (SIZE_FIELD, 4..=6) => bytes = walk.zigzag()?,
            (DICTIONARY_FIELD, STRUCT) => values = number(&mut walk, COUNT_FIELD)?,
            _ => walk.skip(kind, false, 0)?,
        }
        last = id;
    }
    Some((page_type == DICTIONARY_PAGE).then_some((values, bytes)))
}

/// The fewest bytes that a value of a dictionary takes.
fn least_bytes(chunk: &ColumnChunkMetaData) -> i64 {
    match chunk.column_type() {
        Type::BOOLEAN | Type::INT32 | Type::FLOAT | Type::BYTE_ARRAY => 4,
        Type::INT64 | Type::DOUBLE => 8,
        Type::INT96 => 12,
        Type::FIXED_LEN_BYTE_ARRAY => i64::from(chunk.column_descr().type_length().max(1)),
    }
}

/// Why what stands at the start of a column chunk is no page, or no dictionary with so many values. The crate is laxer with numbers than Thrift is,
/// so a header that does not parse here is refused here.
pub fn impossible(chunk: &ColumnChunkMetaData, page: &[u8]) -> Option<String> {
    if page.is_empty() {
        return None;
    }
    let Some(claim) = claim(page) else { return Some("its first page has no header".to_string()) };
    let (values, bytes) = claim?;
    let least = values.checked_mul(least_bytes(chunk)).unwrap_or(i64::MAX);
    (values < 0 || least > bytes).then(|| format!("its dictionary of {bytes} bytes claims to have {values} values"))
}
