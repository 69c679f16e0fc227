// SPDX-License-Identifier: Apache-2.0
//! Timestamps of ORC: seconds since 2015 began where the writer was, and nanoseconds. A column of plain timestamps means what its
//! writer's clock showed, so it comes out as that clock's time, whatever the zone.
use chrono::{DateTime, Offset, TimeZone};
use chrono_tz::Tz;

use crate::fail::{fail, Outcome, CORRUPT, UNSUPPORTED};

/// 2015-01-01 in UTC.
const BEGIN: i64 = 1_420_070_400;
const NANOS: i64 = 1_000_000_000;

fn joined(seconds: i64, nanos: i64) -> Option<i64> {
    match seconds.checked_mul(NANOS).and_then(|all| all.checked_add(nanos)) {
        Some(all) => Some(all),
        // The first second of all begins before the first nanosecond.
        None => i64::try_from(i128::from(seconds) * i128::from(NANOS) + i128::from(nanos)).ok(),
    }
}

#[derive(Clone, Copy)]
pub struct Zone {
    /// None: UTC.
    tz: Option<Tz>,
    begin: i64,
}

impl Zone {
    pub const UTC: Zone = Zone { tz: None, begin: BEGIN };

    pub fn named(name: &str) -> Outcome<Zone> {
        if matches!(name, "" | "UTC" | "GMT" | "Etc/UTC" | "Z") {
            return Ok(Zone::UTC);
        }
        let Ok(tz) = name.parse::<Tz>() else { return fail(UNSUPPORTED, format!("it was written in the time zone {name}, which is not known")) };
        let utc = DateTime::from_timestamp(BEGIN, 0).unwrap_or_default().naive_utc();
        // What the clock showed as this second came later or earlier by the zone's distance; 2015 began without a change of clocks.
        let begin = BEGIN - i64::from(tz.offset_from_utc_datetime(&utc).fix().local_minus_utc());
        Ok(Zone { tz: Some(tz), begin })
    }

    fn clock(&self, seconds: i64) -> Option<i64> {
        let Some(tz) = self.tz else { return Some(seconds) };
        let utc = DateTime::from_timestamp(seconds, 0)?.naive_utc();
        Some(seconds + i64::from(tz.offset_from_utc_datetime(&utc).fix().local_minus_utc()))
    }

    /// Nanoseconds since 1970 of a value as it stands in the two streams.
    pub fn nanos(&self, seconds: i64, packed: i64) -> Outcome<i64> {
        // The last three bits say how many zeros were cut off, when it was more than one.
        let nanos = match packed & 7 {
            0 => packed >> 3,
            zeros => (packed >> 3).saturating_mul(10i64.pow(zeros as u32 + 1)),
        };
        // Arrow's writer leaves the nanoseconds of a time before 1970 negative, with its seconds rounded up.
        if nanos <= -NANOS || nanos >= NANOS {
            return fail(CORRUPT, format!("{nanos} nanoseconds of a second"));
        }
        let seconds = seconds.wrapping_add(self.begin);
        // Writers round the seconds before 1970 up, unless there is nothing behind the milliseconds' point (ORC-763).
        let seconds = if seconds < 0 && nanos > 999_999 { seconds.wrapping_sub(1) } else { seconds };
        match self.clock(seconds).and_then(|seconds| joined(seconds, nanos)) {
            Some(all) => Ok(all),
            None => fail(UNSUPPORTED, "a timestamp outside of the years 1678 to 2261, which is what nanoseconds in 64 bits reach"),
        }
    }
}
