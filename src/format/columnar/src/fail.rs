// SPDX-License-Identifier: Apache-2.0
//! Failures as a ghee_status and a text, and the guard that keeps panics on this side of the C boundary.
use std::cell::RefCell;
use std::ffi::{c_char, c_int};
use std::panic::{catch_unwind, set_hook, AssertUnwindSafe};
use std::sync::Once;

use arrow_schema::ArrowError;
use parquet::errors::ParquetError;

pub const OK: c_int = 0;
pub const INTERNAL: c_int = 1;
pub const INVALID: c_int = 3;
pub const NOT_FOUND: c_int = 4;
pub const CORRUPT: c_int = 6;
pub const SCHEMA: c_int = 7;
pub const LIMIT: c_int = 11;
pub const NO_MEMORY: c_int = 12;
pub const UNSUPPORTED: c_int = 18;
pub const CLOSED: c_int = 19;

/// `ghee_error` of ghee/status.h.
#[repr(C)]
pub struct Error {
    status: c_int,
    message: [c_char; 4096],
}

#[derive(Debug)]
pub struct Fail {
    pub status: c_int,
    /// Empty: the caller's own callback failed and has said why.
    pub text: String,
}

pub type Outcome<T> = Result<T, Fail>;

pub fn fail<T>(status: c_int, text: impl Into<String>) -> Outcome<T> {
    Err(Fail { status, text: text.into() })
}

const NUL: &str = "Null byte at position";

/// The crates' errors carry few kinds; some facts stand only in their words.
fn status_of_text(text: &str, otherwise: c_int) -> c_int {
    let has = |part: &str| text.contains(part);
    if has("NYI: ") || has("Not yet implemented") || has("not yet implemented") || has("Unsupported data type") || has(NUL) {
        UNSUPPORTED
    } else if has("index overflow") || has("offset overflow") || has("Offset overflow") {
        LIMIT
    } else {
        otherwise
    }
}

const TOO_LONG: &str = "a batch holds more than 2 GiB in one column: set fewer rows a batch, or make the column large_string";

/// Without the layers' own "… error: " at the front.
fn bare(text: String) -> String {
    const LAYERS: [&str; 6] =
        ["Parquet argument error: ", "Parquet error: ", "Ipc error: ", "Parser error: ", "Invalid argument error: ", "Arrow: "];
    let mut rest = text.as_str();
    while let Some(inner) = LAYERS.iter().find_map(|layer| rest.strip_prefix(layer)) {
        rest = inner;
    }
    rest.to_string()
}

impl From<ArrowError> for Fail {
    fn from(error: ArrowError) -> Fail {
        let text = bare(error.to_string());
        let status = match error {
            ArrowError::NotYetImplemented(_) => UNSUPPORTED,
            ArrowError::MemoryError(_) => NO_MEMORY,
            ArrowError::OffsetOverflowError(_) => LIMIT,
            _ => status_of_text(&text, CORRUPT),
        };
        let text = match status {
            LIMIT => TOO_LONG.into(),
            UNSUPPORTED if text.contains(NUL) => "a column's name holds a NUL byte; rename the column".into(),
            _ => text,
        };
        Fail { status, text }
    }
}

impl From<ParquetError> for Fail {
    fn from(error: ParquetError) -> Fail {
        let text = bare(error.to_string());
        let status = match error {
            ParquetError::NYI(_) => UNSUPPORTED,
            _ => status_of_text(&text, CORRUPT),
        };
        Fail { status, text: if status == LIMIT { TOO_LONG.into() } else { text } }
    }
}

impl Fail {
    pub fn before(mut self, what: &str) -> Fail {
        if !self.text.is_empty() {
            self.text = format!("{what}: {}", self.text);
        }
        self
    }
}

thread_local! {
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// A library prints nothing: the hook keeps the panic's words for the guard instead.
fn quiet_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        set_hook(Box::new(|info| {
            let what = info.payload();
            let what = what.downcast_ref::<&str>().map(|s| s.to_string()).or_else(|| what.downcast_ref::<String>().cloned());
            let place = info.location().map(|l| format!(" ({}:{})", l.file().rsplit('/').next().unwrap_or(""), l.line()));
            let text = format!("{}{}", what.unwrap_or_default(), place.unwrap_or_default());
            PANIC.with(|p| *p.borrow_mut() = text);
        }))
    });
}

/// Runs `f`; what goes wrong in it becomes the returned status and the text in `err`.
pub fn guard(err: *mut Error, reading: bool, f: impl FnOnce() -> Outcome<c_int>) -> c_int {
    quiet_panics();
    let failed = match catch_unwind(AssertUnwindSafe(f)) {
        Ok(Ok(status)) => return status,
        Ok(Err(failed)) => failed,
        Err(_) => of_panic(reading),
    };
    if !err.is_null() && !failed.text.is_empty() {
        let text = failed.text.replace(['\0', '\n', '\r'], " ");
        let mut n = text.len().min(4095);
        while !text.is_char_boundary(n) {
            n -= 1;
        }
        // The caller's ghee_error, alive for the call.
        unsafe {
            (*err).status = failed.status;
            std::ptr::copy_nonoverlapping(text.as_ptr().cast(), (*err).message.as_mut_ptr(), n);
            (*err).message[n] = 0;
        }
    }
    failed.status
}

fn of_panic(reading: bool) -> Fail {
    let text = PANIC.with(|p| p.take());
    match (status_of_text(&text, CORRUPT), reading) {
        (LIMIT, _) => Fail { status: LIMIT, text: TOO_LONG.into() },
        (_, true) => Fail { status: CORRUPT, text: format!("damaged in a way the reader does not expect: {text}") },
        (_, false) => Fail { status: INTERNAL, text: format!("the writer gave up: {text}") },
    }
}
