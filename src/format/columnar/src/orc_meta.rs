// SPDX-License-Identifier: Apache-2.0
//! What an ORC file says of itself: postscript, footer, and the footer of a stripe (fields as in orc_proto.proto).
use std::sync::Arc;

use bytes::Bytes;

use crate::fail::{fail, Outcome, CORRUPT, UNSUPPORTED};
use crate::orc_bounds::{self, Statistics};
use crate::orc_stream::{Codec, Packing, Stream, MOST_BLOCK_BYTES};
use crate::protobuf::Walk;
use crate::source::Source;

/// One read gets the footer of most files.
const TAIL_BYTES: usize = 64 << 10;
const MOST_FOOTER_BYTES: usize = 256 << 20;
/// Of the format to come: its decimals are packed as integers.
const TO_COME: [u64; 2] = [1, 9999];

pub struct Stripe {
    pub offset: u64,
    pub index_bytes: u64,
    pub data_bytes: u64,
    pub footer_bytes: u64,
    pub rows: u64,
}

#[derive(Default)]
pub struct Type {
    pub kind: u64,
    pub children: Vec<u64>,
    pub names: Vec<String>,
    pub precision: u64,
    pub scale: u64,
}

/// Of a column in the whole file: how many values it has, and of text the bytes of all.
#[derive(Clone, Copy, Default)]
pub struct Total {
    pub values: u64,
    pub text_bytes: u64,
}

pub struct Meta {
    pub packing: Packing,
    pub small_decimals: bool,
    pub stripes: Vec<Stripe>,
    pub types: Vec<Type>,
    /// By type; empty where the file does not tell.
    pub totals: Vec<Total>,
    /// Empty unless asked for.
    pub statistics: Statistics,
    /// The least and greatest texts in it are those (HIVE-8732).
    pub ordered_texts: bool,
}

pub struct StreamInfo {
    pub kind: u64,
    pub column: u64,
    pub offset: u64,
    pub len: u64,
}

#[derive(Clone, Copy, Default)]
pub struct Encoding {
    pub kind: u64,
    pub dictionary_size: u64,
}

pub struct StripeFooter {
    pub streams: Vec<StreamInfo>,
    pub encodings: Vec<Encoding>,
    /// Empty: UTC.
    pub zone: String,
}

#[derive(Default)]
struct PostScript {
    footer_bytes: u64,
    codec: u64,
    block_bytes: u64,
    version: Vec<u64>,
    metadata_bytes: u64,
    writer_version: u64,
}

fn postscript(bytes: &[u8]) -> Outcome<PostScript> {
    let mut found = PostScript { block_bytes: 256 << 10, ..PostScript::default() };
    let mut walk = Walk::new(bytes);
    while let Some((id, value)) = walk.next()? {
        match id {
            1 => found.footer_bytes = value.number()?,
            2 => found.codec = value.number()?,
            3 => found.block_bytes = value.number()?,
            4 => value.numbers(&mut found.version)?,
            5 => found.metadata_bytes = value.number()?,
            6 => found.writer_version = value.number()?,
            _ => {}
        }
    }
    Ok(found)
}

fn packing_of(postscript: &PostScript) -> Outcome<Packing> {
    let codec = match postscript.codec {
        0 => Codec::None,
        1 => Codec::Zlib,
        2 => Codec::Snappy,
        3 => return fail(UNSUPPORTED, "it is packed with LZO; write it again with another codec"),
        4 => Codec::Lz4,
        5 => Codec::Zstd,
        6 => return fail(UNSUPPORTED, "it is packed with Brotli; write it again with another codec"),
        other => return fail(CORRUPT, format!("its codec has the number {other}, which is none")),
    };
    if codec != Codec::None && !(1..=MOST_BLOCK_BYTES).contains(&postscript.block_bytes) {
        return fail(CORRUPT, format!("its blocks are said to have up to {} bytes", postscript.block_bytes));
    }
    Ok(Packing { codec, block_bytes: postscript.block_bytes as usize })
}

fn stripe_of(mut walk: Walk) -> Outcome<Stripe> {
    let mut stripe = Stripe { offset: 0, index_bytes: 0, data_bytes: 0, footer_bytes: 0, rows: 0 };
    while let Some((id, value)) = walk.next()? {
        match id {
            1 => stripe.offset = value.number()?,
            2 => stripe.index_bytes = value.number()?,
            3 => stripe.data_bytes = value.number()?,
            4 => stripe.footer_bytes = value.number()?,
            5 => stripe.rows = value.number()?,
            _ => {}
        }
    }
    Ok(stripe)
}

fn type_of(mut walk: Walk) -> Outcome<Type> {
    let mut found = Type::default();
    while let Some((id, value)) = walk.next()? {
        match id {
            1 => found.kind = value.number()?,
            2 => value.numbers(&mut found.children)?,
            3 => found.names.push(value.text()?),
            5 => found.precision = value.number()?,
            6 => found.scale = value.number()?,
            _ => {}
        }
    }
    Ok(found)
}

fn total_of(mut walk: Walk) -> Outcome<Total> {
    let mut total = Total::default();
    while let Some((id, value)) = walk.next()? {
        match id {
            1 => total.values = value.number()?,
            // StringStatistics and BinaryStatistics have the sum of the lengths under different numbers.
            4 | 8 => {
                let wanted = if id == 4 { 3 } else { 1 };
                let mut inner = value.message()?;
                while let Some((id, value)) = inner.next()? {
                    if id == wanted {
                        total.text_bytes = u64::try_from(value.signed()?).unwrap_or(0);
                    }
                }
            }
            _ => {}
        }
    }
    Ok(total)
}

fn footer(bytes: &[u8], packing: Packing, postscript: &PostScript, size: u64) -> Outcome<Meta> {
    let (small_decimals, ordered_texts) = (postscript.version == TO_COME, postscript.writer_version > 0);
    let (stripes, types, totals, statistics) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut meta = Meta { packing, small_decimals, stripes, types, totals, statistics, ordered_texts };
    let mut walk = Walk::new(bytes);
    while let Some((id, value)) = walk.next()? {
        match id {
            3 => meta.stripes.push(stripe_of(value.message()?)?),
            4 => meta.types.push(type_of(value.message()?)?),
            7 => meta.totals.push(total_of(value.message()?)?),
            10 => return fail(UNSUPPORTED, "columns of it are encrypted"),
            _ => {}
        }
    }
    for (index, stripe) in meta.stripes.iter().enumerate() {
        let parts = [stripe.index_bytes, stripe.data_bytes, stripe.footer_bytes];
        let end = parts.iter().try_fold(stripe.offset, |sum, bytes| sum.checked_add(*bytes));
        if end.is_none_or(|end| end > size) || i64::try_from(stripe.rows).is_err() {
            return fail(CORRUPT, format!("stripe {index} lies outside of its {size} bytes: truncated or damaged"));
        }
    }
    if meta.totals.len() != meta.types.len() {
        meta.totals.clear();
    }
    Ok(meta)
}

/// `statistics`: also what the file says of the values in its stripes.
pub fn load(source: &Arc<Source>, statistics: bool) -> Outcome<Meta> {
    let size = source.size();
    let tail = source.tail(TAIL_BYTES)?;
    if tail.len() < 12 {
        return fail(CORRUPT, format!("its {size} bytes are too few for an ORC file"));
    }
    let len = tail[tail.len() - 1] as usize;
    let end = tail.len() - 1;
    // The magic bytes are the last field of the postscript; very old files have them at the front only.
    if len + 1 > tail.len() || !tail[end - len..end].ends_with(b"ORC") && !source.read(0, 3)?.starts_with(b"ORC") {
        return fail(CORRUPT, "not an ORC file, or truncated: its postscript does not end in ORC");
    }
    let postscript = postscript(&tail[end - len..end]).map_err(|e| e.before("its postscript"))?;
    let packing = packing_of(&postscript)?;
    let end = size - 1 - len as u64;
    let section = |name: &str, end: u64, bytes: u64| -> Outcome<Vec<u8>> {
        let Some(start) = end.checked_sub(bytes) else {
            return fail(CORRUPT, format!("its {name} claims {bytes} of its {size} bytes: truncated or damaged"));
        };
        let in_tail = start.checked_sub(size - tail.len() as u64).map(|at| tail.slice(at as usize..(at + bytes) as usize));
        let packed = in_tail.map_or_else(|| source.read(start, bytes as usize).map(Bytes::from), Ok)?;
        Stream::new(packing, packed).all(MOST_FOOTER_BYTES).map_err(|e| e.before(&format!("its {name}")))
    };
    let bytes = section("footer", end, postscript.footer_bytes)?;
    let mut meta = footer(&bytes, packing, &postscript, size).map_err(|e| e.before("its footer"))?;
    if statistics {
        let bytes = section("statistics", end - postscript.footer_bytes, postscript.metadata_bytes)?;
        meta.statistics = orc_bounds::statistics(&bytes).map_err(|e| e.before("its statistics"))?;
    }
    Ok(meta)
}

fn stream_of(mut walk: Walk) -> Outcome<StreamInfo> {
    let mut stream = StreamInfo { kind: 0, column: 0, offset: 0, len: 0 };
    while let Some((id, value)) = walk.next()? {
        match id {
            1 => stream.kind = value.number()?,
            2 => stream.column = value.number()?,
            3 => stream.len = value.number()?,
            _ => {}
        }
    }
    Ok(stream)
}

fn encoding_of(mut walk: Walk) -> Outcome<Encoding> {
    let mut encoding = Encoding::default();
    while let Some((id, value)) = walk.next()? {
        match id {
            1 => encoding.kind = value.number()?,
            2 => encoding.dictionary_size = value.number()?,
            _ => {}
        }
    }
    Ok(encoding)
}

impl Stripe {
    /// Where its footer stands.
    pub fn footer(&self) -> (u64, u64) {
        (self.offset + self.index_bytes + self.data_bytes, self.footer_bytes)
    }

    pub fn read_footer(&self, bytes: Bytes, packing: Packing) -> Outcome<StripeFooter> {
        let bytes = Stream::new(packing, bytes).all(MOST_FOOTER_BYTES)?;
        let mut found = StripeFooter { streams: Vec::new(), encodings: Vec::new(), zone: String::new() };
        let (mut walk, mut at) = (Walk::new(&bytes), self.offset);
        while let Some((id, value)) = walk.next()? {
            match id {
                1 => {
                    let mut stream = stream_of(value.message()?)?;
                    stream.offset = at;
                    at = at.saturating_add(stream.len);
                    found.streams.push(stream);
                }
                2 => found.encodings.push(encoding_of(value.message()?)?),
                3 => found.zone = value.text()?,
                _ => {}
            }
        }
        if at > self.footer().0 {
            return fail(CORRUPT, format!("its streams take {} bytes, but it has {}", at - self.offset, self.index_bytes + self.data_bytes));
        }
        Ok(found)
    }
}
