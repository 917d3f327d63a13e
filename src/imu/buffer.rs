//! IMU readings in time order, for a while: what intervals are cut from, again and again.
//!
//! An estimator with late measurements splits intervals that it had integrated already. So the readings stay here until
//! they are older than the history, and any interval between two stamps is integrated anew from them; see
//! [`ImuInterval`]. A reading that comes late is sorted in. One that is not finite, of a stamp that is known, or older
//! than all history is refused, with its reason, and counted.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{ImuInterval, IntervalRefusal};
use crate::sensor::ImuSample;
use crate::{Error, Stamp};

/// What a sound interval of readings is, and what to assume of the motion where it is not.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImuLimits {
    /// Two readings further apart than this leave a gap, seconds.
    pub max_gap: f64,
    /// A rate of turn of this size on an axis is saturated, rad/s. The default is just below 2000 deg/s.
    pub angular_velocity_range: f64,
    /// A specific force of this size on an axis is saturated, m/s². The default is just below 16 g.
    pub linear_acceleration_range: f64,
    /// How far the rate of turn may be from a straight line through a gap or a saturated stretch: standard deviation
    /// per axis, rad/s.
    pub unmeasured_angular_velocity: f64,
    /// The same for the specific force, m/s².
    pub unmeasured_linear_acceleration: f64,
}

impl Default for ImuLimits {
    fn default() -> Self {
        Self {
            max_gap: 0.05,
            angular_velocity_range: 34.9,
            linear_acceleration_range: 156.0,
            unmeasured_angular_velocity: 0.5,
            unmeasured_linear_acceleration: 2.0,
        }
    }
}

impl ImuLimits {
    /// Whether the limits can be used.
    ///
    /// # Errors
    /// When one is not positive (infinite is allowed) or not a number.
    pub fn check(&self) -> crate::Result<()> {
        let values = [
            ("max_gap", self.max_gap),
            ("angular_velocity_range", self.angular_velocity_range),
            ("linear_acceleration_range", self.linear_acceleration_range),
            ("unmeasured_angular_velocity", self.unmeasured_angular_velocity),
            ("unmeasured_linear_acceleration", self.unmeasured_linear_acceleration),
        ];
        match values.into_iter().find(|(_, value)| value.is_nan() || *value <= 0.0) {
            Some((key, value)) => Err(Error::config(key, "a positive number", value.to_string())),
            None => Ok(()),
        }
    }

    /// Whether a reading is at the end of the sensor's range on an axis.
    pub fn is_saturated(&self, sample: &ImuSample) -> bool {
        sample.angular_velocity.amax() >= self.angular_velocity_range
            || sample.linear_acceleration.amax() >= self.linear_acceleration_range
    }
}

/// Why a reading did not enter the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImuRefusal {
    /// A number is NaN or infinite.
    #[error("IMU reading at {stamp}: expected finite numbers, found NaN or infinity")]
    NotFinite {
        /// Stamp of the reading.
        stamp: Stamp,
    },
    /// There is a reading of this stamp; the first one stays.
    #[error("IMU reading at {stamp}: expected a new stamp, found one that is known")]
    Duplicate {
        /// Stamp of the reading.
        stamp: Stamp,
    },
    /// It is older than everything that is kept.
    #[error(
        "IMU reading at {stamp}: expected a stamp after {oldest}, the oldest kept; after a jump of the clock, clear"
    )]
    TooOld {
        /// Stamp of the reading.
        stamp: Stamp,
        /// The oldest stamp that could still be sorted in.
        oldest: Stamp,
    },
}

impl From<ImuRefusal> for Error {
    fn from(refusal: ImuRefusal) -> Self {
        Error::compute("IMU buffer", refusal)
    }
}

/// How many readings came and what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImuCounts {
    /// In time order, kept.
    pub in_order: u64,
    /// Out of order, sorted in.
    pub out_of_order: u64,
    /// Refused: not finite.
    pub not_finite: u64,
    /// Refused: of a known stamp.
    pub duplicate: u64,
    /// Refused: older than the history.
    pub too_old: u64,
}

/// Most readings that are kept, whatever their stamps say: eight seconds at 8 kHz.
const MOST_READINGS: usize = 1 << 16;

/// The readings of the last while. See the module's text.
#[derive(Clone, Debug)]
pub struct ImuBuffer {
    history: Duration,
    limits: ImuLimits,
    /// Strictly increasing stamps, finite numbers.
    samples: VecDeque<ImuSample>,
    counts: ImuCounts,
}

impl ImuBuffer {
    /// An empty buffer that keeps the readings of `history` before the newest one, and 65536 at most.
    pub fn new(history: Duration, limits: ImuLimits) -> Self {
        Self { history, limits, samples: VecDeque::new(), counts: ImuCounts::default() }
    }

    /// Adds a reading.
    ///
    /// # Errors
    /// [`ImuRefusal`]; the buffer stays as it was, the refusal is counted.
    pub fn push(&mut self, sample: ImuSample) -> Result<(), ImuRefusal> {
        let stamp = sample.stamp;
        if !sample.is_finite() {
            self.counts.not_finite += 1;
            return Err(ImuRefusal::NotFinite { stamp });
        }
        let Some(newest) = self.newest() else {
            self.samples.push_back(sample);
            self.counts.in_order += 1;
            return Ok(());
        };
        if stamp > newest {
            self.samples.push_back(sample);
            self.counts.in_order += 1;
            self.forget_before(stamp - self.history);
            self.forget_most();
            return Ok(());
        }
        let oldest = newest - self.history;
        if stamp < oldest {
            self.counts.too_old += 1;
            return Err(ImuRefusal::TooOld { stamp, oldest });
        }
        let after = self.samples.partition_point(|known| known.stamp < stamp);
        if self.samples[after].stamp == stamp {
            self.counts.duplicate += 1;
            return Err(ImuRefusal::Duplicate { stamp });
        }
        self.samples.insert(after, sample);
        self.counts.out_of_order += 1;
        self.forget_most();
        Ok(())
    }

    /// Drops the oldest readings where there are too many.
    fn forget_most(&mut self) {
        while self.samples.len() > MOST_READINGS {
            self.samples.pop_front();
        }
    }

    /// The readings between two stamps, those at the ends interpolated.
    ///
    /// # Errors
    /// [`IntervalRefusal`] when `end` is not after `start`, or the readings do not reach over both.
    pub fn interval(&self, start: Stamp, end: Stamp) -> Result<ImuInterval<'_>, IntervalRefusal> {
        ImuInterval::cut(&self.samples, self.limits, start, end)
    }

    /// Drops readings that no interval from `stamp` on needs: all but one of those before it.
    pub fn forget_before(&mut self, stamp: Stamp) {
        while self.samples.get(1).is_some_and(|second| second.stamp <= stamp) {
            self.samples.pop_front();
        }
    }

    /// Forgets all readings, for a clock that jumped back; the counts stay.
    pub fn clear(&mut self) {
        self.samples.clear();
    }

    /// The readings, in time order.
    pub fn samples(&self) -> impl DoubleEndedIterator<Item = &ImuSample> {
        self.samples.iter()
    }

    /// Stamp of the oldest reading.
    pub fn oldest(&self) -> Option<Stamp> {
        self.samples.front().map(|sample| sample.stamp)
    }

    /// Stamp of the newest reading.
    pub fn newest(&self) -> Option<Stamp> {
        self.samples.back().map(|sample| sample.stamp)
    }

    /// What became of the readings so far.
    pub fn counts(&self) -> ImuCounts {
        self.counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::Vector3;

    fn reading(millis: i64, turn: f64) -> ImuSample {
        let angular_velocity = Vector3::new(turn, 0.0, 0.0);
        let stamp = Stamp::from_nanos(millis * 1_000_000);
        ImuSample { stamp, angular_velocity, linear_acceleration: Vector3::new(0.0, 0.0, 9.81) }
    }

    #[test]
    fn what_cannot_be_used_is_refused_and_counted() {
        let mut buffer = ImuBuffer::new(Duration::from_millis(100), ImuLimits::default());
        for millis in [0, 10, 30] {
            buffer.push(reading(millis, 0.0)).unwrap();
        }
        let mut text = |sample: ImuSample| buffer.push(sample).unwrap_err().to_string();
        let found = text(reading(40, f64::NAN));
        assert_eq!(found, "IMU reading at 0.040000000: expected finite numbers, found NaN or infinity");
        let found = text(reading(10, 1.0));
        assert_eq!(found, "IMU reading at 0.010000000: expected a new stamp, found one that is known");
        let found = text(reading(-71, 1.0));
        let expected = "expected a stamp after -0.070000000, the oldest kept; after a jump of the clock, clear";
        assert_eq!(found, format!("IMU reading at -0.071000000: {expected}"));
        buffer.push(reading(20, 2.0)).unwrap();
        let stamps: Vec<i64> = buffer.samples().map(|sample| sample.stamp.as_nanos() / 1_000_000).collect();
        assert_eq!(stamps, [0, 10, 20, 30]);
        let counts = ImuCounts { in_order: 3, out_of_order: 1, not_finite: 1, duplicate: 1, too_old: 1 };
        assert_eq!(buffer.counts(), counts);
    }

    #[test]
    fn it_keeps_the_history_and_one_reading_before_it() {
        let mut buffer = ImuBuffer::new(Duration::from_millis(100), ImuLimits::default());
        (0..100).for_each(|index| buffer.push(reading(10 * index, 0.0)).unwrap());
        assert_eq!(buffer.newest(), Some(Stamp::from_nanos(990_000_000)));
        assert_eq!(buffer.oldest(), Some(Stamp::from_nanos(890_000_000)));
        buffer.forget_before(Stamp::from_nanos(925_000_000));
        assert_eq!(buffer.oldest(), Some(Stamp::from_nanos(920_000_000)));
        buffer.clear();
        assert_eq!((buffer.oldest(), buffer.newest()), (None, None));
        buffer.push(reading(5, 0.0)).unwrap();
    }

    #[test]
    fn readings_of_every_nanosecond_fill_no_memory() {
        let mut buffer = ImuBuffer::new(Duration::from_secs(10), ImuLimits::default());
        let count = MOST_READINGS as i64 + 10;
        for nanos in 0..count {
            buffer.push(ImuSample { stamp: Stamp::from_nanos(nanos), ..reading(0, 0.0) }).unwrap();
        }
        assert_eq!((buffer.samples().count(), buffer.oldest()), (MOST_READINGS, Some(Stamp::from_nanos(10))));
    }

    #[test]
    fn limits_are_positive() {
        assert!(ImuLimits::default().check().is_ok());
        let text = |limits: ImuLimits| limits.check().unwrap_err().to_string();
        let found = text(ImuLimits { max_gap: 0.0, ..ImuLimits::default() });
        assert_eq!(found, "parameter max_gap: expected a positive number, found 0");
        assert!(text(ImuLimits { angular_velocity_range: f64::NAN, ..ImuLimits::default() }).contains("found NaN"));
    }
}
