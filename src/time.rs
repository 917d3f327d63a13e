//! Time as integers: a [`Stamp`] is when something was true, in nanoseconds since the epoch of its clock.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A point in time, in integer nanoseconds since the epoch of the clock that made it (wall, simulation or bag time).
///
/// Stamps of different clocks must not be compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Stamp(i64);

impl Stamp {
    /// A stamp from nanoseconds since the epoch.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// A stamp from the seconds and nanoseconds of `builtin_interfaces/Time`. `nanosec` may exceed one second.
    pub const fn from_parts(sec: i32, nanosec: u32) -> Self {
        Self(sec as i64 * 1_000_000_000 + nanosec as i64)
    }

    /// A stamp from seconds, rounded to the nearest nanosecond; `None` when not finite or out of range.
    ///
    /// For text files that write seconds. `f64` seconds of today's epoch have a grain of about 0.2 µs.
    pub fn from_seconds(seconds: f64) -> Option<Self> {
        let nanos = (seconds * 1e9).round();
        (nanos.is_finite() && nanos.abs() < i64::MAX as f64).then_some(Self(nanos as i64))
    }

    /// Nanoseconds since the epoch.
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// Seconds since the epoch, for text output and plots only.
    pub fn as_seconds(self) -> f64 {
        self.0 as f64 * 1e-9
    }

    /// Seconds and nanoseconds as `builtin_interfaces/Time` has them: `nanosec` in `0..1_000_000_000`.
    pub const fn to_parts(self) -> (i32, u32) {
        (self.0.div_euclid(1_000_000_000) as i32, self.0.rem_euclid(1_000_000_000) as u32)
    }

    /// Signed nanoseconds from `earlier` to `self`.
    pub const fn nanos_since(self, earlier: Stamp) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Signed seconds from `earlier` to `self`.
    pub fn seconds_since(self, earlier: Stamp) -> f64 {
        self.nanos_since(earlier) as f64 * 1e-9
    }
}

impl Add<Duration> for Stamp {
    type Output = Stamp;
    fn add(self, duration: Duration) -> Stamp {
        Stamp(self.0.saturating_add(duration.as_nanos().min(i64::MAX as u128) as i64))
    }
}

impl Sub<Duration> for Stamp {
    type Output = Stamp;
    fn sub(self, duration: Duration) -> Stamp {
        Stamp(self.0.saturating_sub(duration.as_nanos().min(i64::MAX as u128) as i64))
    }
}

impl fmt::Display for Stamp {
    /// Seconds with nine decimals, exact: the form of TUM trajectory files.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let nanos = self.0.unsigned_abs();
        write!(formatter, "{sign}{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000)
    }
}

impl std::str::FromStr for Stamp {
    type Err = String;

    /// Reads decimal seconds exactly (no detour over `f64`); digits beyond nanoseconds are cut.
    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("expected decimal seconds such as 1305031102.175304, found {text:?}");
        if text.contains(['e', 'E']) {
            return text.parse().ok().and_then(Stamp::from_seconds).ok_or_else(expected);
        }
        let (sign, digits) = match text.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) {
            return Err(expected());
        }
        let seconds: i64 = whole.parse().map_err(|_| expected())?;
        let padded: String = fraction.chars().chain("000000000".chars()).take(9).collect();
        let nanos: i64 = padded.parse().map_err(|_| expected())?;
        let total = seconds.checked_mul(1_000_000_000).and_then(|value| value.checked_add(nanos));
        total.map(|value| Stamp(sign * value)).ok_or_else(expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_of_a_tum_file_is_read_exactly() {
        assert_eq!("1305031102.175304".parse(), Ok(Stamp::from_nanos(1_305_031_102_175_304_000)));
        assert_eq!("0.1234567899".parse(), Ok(Stamp::from_nanos(123_456_789)));
        let exponential: Stamp = "1.305031102175304e9".parse().unwrap();
        assert!((exponential.as_nanos() - 1_305_031_102_175_304_000).abs() < 500, "{exponential}");
        for wrong in ["", ".", "nan", "1.2.3", "1 2", "99999999999999999999"] {
            assert!(wrong.parse::<Stamp>().is_err(), "{wrong:?} must be refused");
        }
    }

    proptest! {
        #[test]
        fn display_and_parse_are_inverse(nanos in any::<i64>().prop_filter("", |n| *n != i64::MIN)) {
            let stamp = Stamp::from_nanos(nanos);
            prop_assert_eq!(stamp.to_string().parse(), Ok(stamp));
        }

        #[test]
        fn parts_round_trip(sec in any::<i32>(), nanosec in 0u32..1_000_000_000) {
            prop_assert_eq!(Stamp::from_parts(sec, nanosec).to_parts(), (sec, nanosec));
        }
    }
}
