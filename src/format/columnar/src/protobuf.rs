// SPDX-License-Identifier: Apache-2.0
//! A walk over the encoding of protocol buffers (protobuf.dev/programming-guides/encoding): what an ORC file says of itself.
use crate::fail::{fail, Outcome, CORRUPT};

pub struct Walk<'a> {
    rest: &'a [u8],
}

pub enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn broken<T>() -> Outcome<T> {
    fail(CORRUPT, "its protocol buffers do not parse: damaged")
}

impl<'a> Value<'a> {
    pub fn number(&self) -> Outcome<u64> {
        match self {
            Value::Number(n) => Ok(*n),
            Value::Bytes(_) => broken(),
        }
    }

    /// Of the types sint32 and sint64.
    pub fn signed(&self) -> Outcome<i64> {
        self.number().map(|n| (n >> 1) as i64 ^ -((n & 1) as i64))
    }

    pub fn bytes(&self) -> Outcome<&'a [u8]> {
        match self {
            Value::Bytes(bytes) => Ok(bytes),
            Value::Number(_) => broken(),
        }
    }

    pub fn text(&self) -> Outcome<String> {
        match std::str::from_utf8(self.bytes()?) {
            Ok(text) => Ok(text.to_string()),
            Err(_) => fail(CORRUPT, "a name in it is not UTF-8"),
        }
    }

    pub fn message(&self) -> Outcome<Walk<'a>> {
        self.bytes().map(Walk::new)
    }

    /// Of a repeated number, one or packed.
    pub fn numbers(&self, all: &mut Vec<u64>) -> Outcome<()> {
        match self {
            Value::Number(n) => all.push(*n),
            Value::Bytes(bytes) => {
                let mut walk = Walk::new(bytes);
                while !walk.rest.is_empty() {
                    all.push(walk.varint()?);
                }
            }
        }
        Ok(())
    }
}

impl<'a> Walk<'a> {
    pub fn new(rest: &'a [u8]) -> Walk<'a> {
        Walk { rest }
    }

    fn varint(&mut self) -> Outcome<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let Some((byte, rest)) = self.rest.split_first() else { return broken() };
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        broken()
    }

    fn take(&mut self, n: u64) -> Outcome<&'a [u8]> {
        match usize::try_from(n).ok().and_then(|n| self.rest.split_at_checked(n)) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => broken(),
        }
    }

    /// The next field; None at the end.
    pub fn next(&mut self) -> Outcome<Option<(u64, Value<'a>)>> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Value::Number(self.varint()?),
            1 => Value::Number(self.take(8)?.try_into().map_or(0, u64::from_le_bytes)),
            2 => {
                let n = self.varint()?;
                Value::Bytes(self.take(n)?)
            }
            5 => Value::Number(self.take(4)?.try_into().map_or(0, |b| u64::from(u32::from_le_bytes(b)))),
            _ => return broken(),
        };
        Ok(Some((key >> 3, value)))
    }
}
