// SPDX-License-Identifier: Apache-2.0
//! What CSV and JSON lines share: the head from which types are inferred, parts cut at line ends, streaming a part through
//! a decoder, and finding the row that does not parse.
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, SchemaRef};
use memchr::{memchr, memchr2, memchr_iter};
use regex::Regex;

use crate::fail::{fail, Fail, Outcome, CORRUPT, LIMIT, UNSUPPORTED};
use crate::file::{Batches, Part};
use crate::packed::{Packed, Script};
use crate::source::Source;
use crate::types;

const HEAD_BYTES: usize = 1 << 20;
/// A header or first row longer than this is taken for damage.
const MAX_HEAD_BYTES: usize = 64 << 20;
const CHUNK_BYTES: usize = 1 << 20;
/// Read to find the next line end where none before it matters.
const LINE_BYTES: usize = 64 << 10;
/// Text of one batch; keeps its strings below the 2 GiB of 32-bit offsets.
const MAX_BATCH_BYTES: u64 = 1 << 30;
/// Errors past this place name the byte alone: counting lines means reading all before it.
const MAX_COUNTED_BYTES: u64 = 256 << 20;

/// Finds line ends outside of quotes, fed piece by piece. A quote opens a field only at its start; `""` inside is a quote.
pub struct Lines {
    /// None: quotes mean nothing (JSON lines).
    delimiter: Option<u8>,
    state: State,
    before: u8,
    /// A closing quote has been followed by something else than the end of its field.
    stray: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Open,
    Quoted,
    QuoteSeen,
}

impl Lines {
    /// At the start of a record.
    pub fn new(delimiter: Option<u8>) -> Lines {
        Lines { delimiter, state: State::Open, before: b'\n', stray: false }
    }

    /// Whether a quoted field is open behind what was fed.
    fn quoted(&self) -> bool {
        self.state == State::Quoted
    }

    /// Why what was fed, as the end of the text, is no CSV.
    pub fn bad(&self) -> Option<&'static str> {
        match self.stray {
            true => Some("text stands behind the closing quote of a field; a quote inside of one is written twice"),
            false => self.quoted().then_some("a quoted field is not closed up to the end of the file"),
        }
    }

    /// The place behind the next line end in `data`; None when all of it was taken without one.
    pub fn next(&mut self, data: &[u8]) -> Option<usize> {
        let Some(delimiter) = self.delimiter else {
            return memchr(b'\n', data).map(|i| i + 1);
        };
        let mut at = 0;
        while at < data.len() {
            match self.state {
                State::Quoted => match memchr(b'"', &data[at..]) {
                    Some(i) => (self.state, at) = (State::QuoteSeen, at + i + 1),
                    None => return None,
                },
                State::QuoteSeen if data[at] == b'"' => (self.state, at) = (State::Quoted, at + 1),
                State::QuoteSeen => {
                    self.stray |= ![delimiter, b'\n', b'\r'].contains(&data[at]);
                    (self.state, self.before) = (State::Open, b'"');
                }
                State::Open => {
                    let Some(i) = memchr2(b'"', b'\n', &data[at..]) else {
                        self.before = data[data.len() - 1];
                        return None;
                    };
                    let before = if i > 0 { data[at + i - 1] } else { self.before };
                    self.before = data[at + i];
                    at += i + 1;
                    if self.before == b'\n' {
                        return Some(at);
                    }
                    if before == delimiter || before == b'\n' || before == b'\r' {
                        self.state = State::Quoted;
                    }
                }
            }
        }
        None
    }
}

/// How deep JSON values are nested. The crate puts an unexpected value into its message by recursion, so depth must be bounded
/// before it sees it.
#[derive(Default)]
struct Nesting {
    depth: usize,
    in_string: bool,
    escaped: bool,
}

/// What the JSON parser that reads the head allows as well.
const MAX_NESTING: usize = 128;

impl Nesting {
    /// Counts over `data`; the place of the bracket that goes too deep, if there is one.
    fn too_deep(&mut self, data: &[u8]) -> Option<usize> {
        let mut at = 0;
        while at < data.len() {
            if self.escaped {
                self.escaped = false;
            } else if self.in_string {
                at += memchr2(b'"', b'\\', &data[at..])?;
                self.escaped = data[at] == b'\\';
                self.in_string = self.escaped;
            } else {
                match data[at] {
                    b'"' => self.in_string = true,
                    b'[' | b'{' => self.depth += 1,
                    b']' | b'}' => self.depth = self.depth.saturating_sub(1),
                    _ => {}
                }
                if self.depth > MAX_NESTING {
                    return Some(at);
                }
            }
            at += 1;
        }
        None
    }
}

/// The start of a text file: what inference sees.
pub struct Head {
    data: Vec<u8>,
    /// Behind the byte order mark and blank lines.
    pub start: usize,
    /// The number of the first line at `start`.
    pub line: usize,
    /// Behind the last whole line.
    end: usize,
    /// It is all of the file.
    pub whole: bool,
    pub packed: Option<Packed>,
}

impl Head {
    /// Reads until two lines (a header and a row) are whole.
    pub fn read(source: &Arc<Source>, delimiter: Option<u8>) -> Outcome<Head> {
        let mut script = Script::new(source.clone(), None);
        let (mut len, mut packed) = (HEAD_BYTES, None);
        loop {
            // One byte more tells whether the text goes on.
            let mut data = script.read(0, len + 1)?;
            if let (None, Some(found)) = (packed, Packed::of(&data)) {
                packed = Some(found);
                script = Script::new(source.clone(), packed);
                continue;
            }
            let whole = data.len() <= len;
            data.truncate(len);
            let start = start_of(&data)?;
            let mut lines = Lines::new(delimiter);
            let (mut end, mut found) = (start, 0);
            while let Some(n) = lines.next(&data[end..]) {
                (end, found) = (end + n, found + 1);
            }
            if whole {
                end = data.len();
            }
            if whole || found >= 2 {
                let line = 1 + memchr_iter(b'\n', &data[..start]).count();
                return Ok(Head { data, start, line, end, whole, packed });
            }
            if len >= MAX_HEAD_BYTES {
                return fail(CORRUPT, format!("there are no two lines in its first {len} bytes"));
            }
            len *= 8;
        }
    }

    pub fn text(&self) -> &[u8] {
        &self.data[self.start..self.end]
    }

    /// The file has no text at all.
    pub fn is_empty(&self) -> bool {
        self.whole && self.start == self.data.len()
    }
}

fn start_of(data: &[u8]) -> Outcome<usize> {
    if data.starts_with(&[0xff, 0xfe]) || data.starts_with(&[0xfe, 0xff]) {
        return fail(UNSUPPORTED, "its text is UTF-16; convert it to UTF-8");
    }
    if Packed::of(data).is_some() {
        return fail(UNSUPPORTED, "it is compressed twice; unpack it once");
    }
    let mark = if data.starts_with(&[0xef, 0xbb, 0xbf]) { 3 } else { 0 };
    Ok(mark + data[mark..].iter().take_while(|b| **b == b'\n' || **b == b'\r').count())
}

/// Parts from `start` on, each ending behind the first line end at or after a multiple of `part_bytes`. With quotes (a delimiter) all is scanned once,
/// as only the start of a file tells which line ends lie inside of quotes; without them only the edges of parts are read.
pub fn cut(source: &Source, start: u64, part_bytes: u64, delimiter: Option<u8>, each: &mut dyn FnMut(Part) -> Outcome<()>) -> Outcome<()> {
    let (size, part_bytes) = (source.size(), part_bytes.max(1));
    let most = if delimiter.is_none() { LINE_BYTES } else { CHUNK_BYTES };
    let edge_behind = |from: u64| (from / part_bytes + 1).saturating_mul(part_bytes);
    let (mut from, mut at, mut lines) = (start, start, Lines::new(delimiter));
    while edge_behind(from) < size {
        if delimiter.is_none() {
            at = at.max(edge_behind(from) - 1);
        }
        if at >= size {
            break;
        }
        let chunk = source.read(at, (size - at).min(most as u64) as usize)?;
        let (mut done, mut gave) = (0, false);
        while let Some(n) = lines.next(&chunk[done..]) {
            done += n;
            let end = at + done as u64;
            if end < edge_behind(from) {
                continue;
            }
            each(part_of(from, end))?;
            from = end;
            gave = true;
            if delimiter.is_none() {
                break;
            }
        }
        // Without quotes the next edge is looked for afresh, further on; with them the scan goes on behind the chunk.
        at = if delimiter.is_none() && gave { from } else { at + chunk.len() as u64 };
    }
    if from < size {
        each(part_of(from, size))?;
    }
    Ok(())
}

fn part_of(from: u64, to: u64) -> Part {
    Part { index: 0, offset: from, size_bytes: to - from, rows: -1, memory_bytes: (to - from).saturating_mul(2) }
}

/// A crate's push decoder.
pub trait Decode {
    fn decode(&mut self, data: &[u8]) -> Result<usize, ArrowError>;
    fn flush(&mut self) -> Result<Option<RecordBatch>, ArrowError>;
    fn full(&self) -> bool;
}

/// How to make decoders; shared by all reads of a file.
pub trait Dialect: Send + Sync {
    /// None: quotes mean nothing (JSON lines).
    fn quoting(&self) -> Option<u8>;
    /// Decodes batches of `batch_rows`; skips rows where the crate can, and says how many it leaves to the caller.
    fn decoder(&self, batch_rows: usize, skip_rows: usize) -> Outcome<(Box<dyn Decode>, usize)>;
    fn schema(&self) -> &SchemaRef;
}

pub struct TextRows {
    dialect: Arc<dyn Dialect>,
    script: Script,
    decoder: Box<dyn Decode>,
    /// Follows the text beside the decoder, which takes an open quote at the end of the file for a closed one.
    lines: Lines,
    nesting: Nesting,
    line_at: u64,
    /// The text is bad behind `chunk`, in the row that begins here.
    bad: Option<(u64, &'static str)>,
    chunk: Vec<u8>,
    /// Of the next byte in `chunk` that the decoder has not seen.
    at: usize,
    /// In the file: behind `chunk`, the end of the part, the start of the running batch.
    read: u64,
    end: u64,
    batch_at: u64,
    /// Rows that the decoder skips in the running batch, and rows still to drop from batches.
    skipping: usize,
    drop_rows: usize,
    over: bool,
}

impl TextRows {
    pub fn new(dialect: Arc<dyn Dialect>, script: Script, part: Part, batch_rows: usize, skip: usize) -> Outcome<TextRows> {
        let end = part.offset.saturating_add(part.size_bytes);
        if end > script.end() {
            return fail(CORRUPT, format!("the part up to byte {end} lies outside of its {} bytes", script.end()));
        }
        let (decoder, drop_rows) = dialect.decoder(batch_rows, skip)?;
        let (read, batch_at, skipping) = (part.offset, part.offset, skip - drop_rows);
        let (lines, line_at, bad) = (Lines::new(dialect.quoting()), part.offset, None);
        let (nesting, chunk) = (Nesting::default(), Vec::new());
        Ok(TextRows {
            dialect, script, decoder, lines, nesting, line_at, bad, chunk, at: 0, read, end, batch_at, skipping, drop_rows, over: false,
        })
    }

    /// Brings the next piece of the part, up to where its text is bad.
    fn advance(&mut self) -> Outcome<()> {
        if let Some((_, why)) = self.bad {
            return fail(CORRUPT, why);
        }
        let len = (self.end - self.read).min(CHUNK_BYTES as u64) as usize;
        self.chunk.clear();
        self.at = 0;
        self.script.read_more(self.read, len, &mut self.chunk)?;
        let len = self.chunk.len();
        let deep = if self.dialect.quoting().is_none() { self.nesting.too_deep(&self.chunk) } else { None };
        self.chunk.truncate(deep.unwrap_or(len));
        let (mut done, from) = (0, self.read);
        while let Some(n) = self.lines.next(&self.chunk[done..]) {
            if self.lines.stray {
                break;
            }
            done += n;
            self.line_at = from + done as u64;
        }
        if self.lines.stray {
            self.chunk.truncate(self.line_at.saturating_sub(from) as usize);
        }
        self.read += self.chunk.len() as u64;
        if deep.is_some() {
            self.bad = Some((self.line_at, "its values are nested more than 128 deep"));
        } else if self.script.end() == u64::MAX && self.read - self.line_at > MAX_HEAD_BYTES as u64 {
            // A few packed bytes unpack to any length.
            self.bad = Some((self.line_at, "no line ends in the 64 MiB behind its start"));
        } else if len == 0 || self.lines.stray {
            self.bad = self.lines.bad().map(|why| (self.line_at, why));
        }
        if self.chunk.is_empty() && self.bad.is_some() { self.advance() } else { Ok(()) }
    }

    /// Feeds the decoder until a batch is full or the part ends.
    fn fill(&mut self) -> Outcome<()> {
        while !self.decoder.full() {
            if self.at == self.chunk.len() {
                self.advance()?;
            }
            let n = self.decoder.decode(&self.chunk[self.at..])?;
            let left = self.chunk.len() - self.at;
            self.at += n;
            if left == 0 {
                self.over = true;
            }
            if n < left || left == 0 {
                return Ok(());
            }
            if self.place() - self.batch_at > MAX_BATCH_BYTES {
                let (from, most) = (self.batch_at, MAX_BATCH_BYTES >> 30);
                return fail(LIMIT, format!("the batch that begins at byte {from} holds more than {most} GiB: set fewer rows a batch"));
            }
        }
        Ok(())
    }

    fn place(&self) -> u64 {
        self.read - (self.chunk.len() - self.at) as u64
    }

    fn batch(&mut self) -> Outcome<Option<RecordBatch>> {
        while !self.over {
            let before = self.place();
            self.fill()?;
            let batch = self.decoder.flush()?;
            if batch.is_none() && !self.over && self.place() == before {
                return fail(CORRUPT, format!("no row ends behind byte {before}"));
            }
            if batch.is_some() {
                (self.batch_at, self.skipping) = (self.place(), 0);
            }
            let Some(batch) = batch else { continue };
            let dropped = self.drop_rows.min(batch.num_rows());
            self.drop_rows -= dropped;
            if dropped < batch.num_rows() {
                let rows = batch.num_rows() - dropped;
                return types::conform(batch.slice(dropped, rows), self.dialect.schema()).map(Some);
            }
        }
        Ok(None)
    }

    /// Decodes the running batch again row by row, to say where the bad row begins.
    fn locate(&self, failed: Fail) -> Fail {
        if failed.status == LIMIT {
            return failed;
        }
        if let Some((at, why)) = self.bad {
            if failed.text == why {
                return self.place_in_words(at, failed);
            }
        }
        let Ok((mut decoder, _)) = self.dialect.decoder(1, 0) else { return failed };
        let mut at = self.batch_at;
        for row in 0usize.. {
            let found = match self.one_row(&mut *decoder, &mut at) {
                Ok(Some(())) => continue,
                Ok(None) => break,
                Err((in_value, found)) => (!in_value || row >= self.skipping).then_some(found),
            };
            if let Some(found) = found {
                return self.place_in_words(at, found);
            }
        }
        failed
    }

    /// Decodes one row at `at` and moves `at` behind it. An error in the text of the row leaves `at` at its start.
    fn one_row(&self, decoder: &mut dyn Decode, at: &mut u64) -> Result<Option<()>, (bool, Fail)> {
        let mut next = *at;
        let mut len = 16 << 10;
        let mut begun = false;
        loop {
            let data = self.script.read(next, (self.end - next).min(len) as usize).map_err(|f| (false, f))?;
            let len_now = data.len();
            let blank = if begun { 0 } else { data.iter().take_while(|b| b.is_ascii_whitespace()).count() };
            if !begun {
                next += blank as u64;
                *at = next;
            }
            begun |= blank < data.len();
            let rest = &data[blank..];
            let n = decoder.decode(rest).map_err(|e| (false, e.into()))?;
            next += n as u64;
            if n < rest.len() || decoder.full() || len_now == 0 {
                let batch = decoder.flush().map_err(|e| (true, e.into()))?;
                if batch.is_some() || len_now == 0 {
                    *at = next;
                    return Ok(batch.map(|_| ()));
                }
            }
            len = CHUNK_BYTES as u64;
        }
    }

    fn place_in_words(&self, at: u64, failed: Fail) -> Fail {
        let text = reason(&failed.text);
        let text = match line_of(&self.script, at) {
            Some(line) => format!("line {line} (byte {at}): {text}"),
            None => format!("the row at byte {at}: {text}"),
        };
        Fail { status: failed.status, text }
    }
}

impl Batches for TextRows {
    fn next(&mut self) -> Outcome<Option<RecordBatch>> {
        let outcome = self.batch().map_err(|f| self.locate(f));
        self.over |= outcome.is_err();
        self.script.source().settle(outcome)
    }
}

/// The line, counted from 1, in which byte `at` lies.
pub fn line_of(script: &Script, at: u64) -> Option<u64> {
    if at > MAX_COUNTED_BYTES {
        return None;
    }
    let (mut line, mut done) = (1, 0);
    while done < at {
        let data = script.read(done, (at - done).min(CHUNK_BYTES as u64) as usize).ok()?;
        if data.is_empty() {
            return None;
        }
        line += memchr_iter(b'\n', &data).count() as u64;
        done += data.len() as u64;
    }
    Some(line)
}

/// The crate's words without its own prefix and line count, which starts at the batch.
pub fn reason(text: &str) -> String {
    let text = ["Csv error: ", "CSV error: ", "Json error: ", "CSV parse error: "].iter().fold(text, |t, p| t.strip_prefix(p).unwrap_or(t));
    let cut = [(r"^record \d+ \(line \d+, field: \d+, byte: \d+\): ", ""), (r" for line \d+ and", " in"), (r" for line \d+,", ":"), (r" (for column \d+ )?at line \d+( column \d+)?", "")];
    let mut text = text.to_string();
    for (pattern, instead) in cut {
        if let Ok(pattern) = Regex::new(pattern) {
            text = pattern.replace_all(&text, instead).into_owned();
        }
    }
    text.chars().take(600).collect()
}
