//! The readings between two stamps, ready to be integrated, with what is wrong with them.
//!
//! The readings at the two ends are interpolated, so that neighbouring intervals meet exactly, wherever they are split.
//! A gap (two readings too far apart) or saturation (a reading at the end of the sensor's range) is a defect: the
//! motion there is not known. The caller either refuses such an interval with [`ImuInterval::refuse_defects`], or
//! integrates it with a covariance that grows as the motion may have.

use std::collections::VecDeque;
use std::iter::once;

use super::preintegration::ReadingError;
use super::{ImuBias, ImuLimits, ImuNoise, PreintegratedImu};
use crate::sensor::ImuSample;
use crate::{Error, Stamp};

/// Why an interval cannot be cut, or should not be used.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum IntervalRefusal {
    /// The interval has no length.
    #[error("IMU interval from {start} to {end}: expected an end after its start")]
    Empty {
        /// Start that was asked for.
        start: Stamp,
        /// End that was asked for.
        end: Stamp,
    },
    /// There are no readings at all.
    #[error("IMU interval: expected readings, found none")]
    NoReadings,
    /// The readings of its end have not come yet.
    #[error("IMU interval to {end}: expected a reading at or after its end, found the newest at {newest}")]
    NotYet {
        /// End that was asked for.
        end: Stamp,
        /// Stamp of the newest reading.
        newest: Stamp,
    },
    /// The readings of its start are gone, or never were.
    #[error("IMU interval from {start}: expected a reading at or before its start, found the oldest at {oldest}")]
    Forgotten {
        /// Start that was asked for.
        start: Stamp,
        /// Stamp of the oldest reading.
        oldest: Stamp,
    },
    /// Two readings are too far apart.
    #[error("IMU interval: expected readings at most {limit} s apart, found none between {from} and {to}")]
    Gap {
        /// Last reading before the longest gap.
        from: Stamp,
        /// First reading after it.
        to: Stamp,
        /// [`ImuLimits::max_gap`].
        limit: f64,
    },
    /// The motion left the range of the sensor.
    #[error("IMU interval: expected readings within the sensor's range, found {count} saturated, the first at {first}")]
    Saturated {
        /// How many readings.
        count: usize,
        /// Stamp of the first one.
        first: Stamp,
    },
}

impl From<IntervalRefusal> for Error {
    fn from(refusal: IntervalRefusal) -> Self {
        Error::compute("IMU interval", refusal)
    }
}

/// What is wrong with the readings of an interval.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct IntervalDefects {
    /// The two readings on both sides of the longest gap.
    pub longest_gap: Option<(Stamp, Stamp)>,
    /// How many readings are saturated.
    pub saturated: usize,
    /// Stamp of the first saturated reading.
    pub first_saturated: Option<Stamp>,
    /// For how long the motion is not known, seconds.
    pub unmeasured: f64,
}

/// The readings between two stamps, in a buffer. See the module's text.
#[derive(Clone, Debug)]
pub struct ImuInterval<'a> {
    samples: &'a VecDeque<ImuSample>,
    limits: ImuLimits,
    start: ImuSample,
    end: ImuSample,
    /// Indices of the readings strictly between the ends.
    inner: std::ops::Range<usize>,
    defects: IntervalDefects,
}

impl<'a> ImuInterval<'a> {
    /// `samples` have strictly increasing stamps.
    pub(super) fn cut(
        samples: &'a VecDeque<ImuSample>,
        limits: ImuLimits,
        start: Stamp,
        end: Stamp,
    ) -> Result<Self, IntervalRefusal> {
        if end <= start {
            return Err(IntervalRefusal::Empty { start, end });
        }
        let (Some(oldest), Some(newest)) = (samples.front(), samples.back()) else {
            return Err(IntervalRefusal::NoReadings);
        };
        if oldest.stamp > start {
            return Err(IntervalRefusal::Forgotten { start, oldest: oldest.stamp });
        }
        if newest.stamp < end {
            return Err(IntervalRefusal::NotYet { end, newest: newest.stamp });
        }
        // Readings `first - 1` and `last` are the nearest ones outside of the open interval; both exist now.
        let first = samples.partition_point(|sample| sample.stamp <= start);
        let last = samples.partition_point(|sample| sample.stamp < end);
        let mut interval = Self {
            samples,
            limits,
            start: at(samples, first, start),
            end: at(samples, last, end),
            inner: first..last,
            defects: IntervalDefects::default(),
        };
        interval.defects = interval.find_defects();
        Ok(interval)
    }

    /// What is wrong with the readings; the default when nothing is.
    pub fn defects(&self) -> IntervalDefects {
        self.defects
    }

    /// The interval, unless something is wrong with its readings.
    ///
    /// # Errors
    /// [`IntervalRefusal::Gap`] or [`IntervalRefusal::Saturated`].
    pub fn refuse_defects(self) -> Result<Self, IntervalRefusal> {
        match self.defects {
            IntervalDefects { longest_gap: Some((from, to)), .. } => {
                Err(IntervalRefusal::Gap { from, to, limit: self.limits.max_gap })
            }
            IntervalDefects { saturated: count, first_saturated: Some(first), .. } => {
                Err(IntervalRefusal::Saturated { count, first })
            }
            _ => Ok(self),
        }
    }

    /// The readings from the start to the end, both interpolated.
    pub fn samples(&self) -> impl Iterator<Item = ImuSample> + '_ {
        once(self.start).chain(self.samples.range(self.inner.clone()).copied()).chain(once(self.end))
    }

    /// Integrates the readings. A stretch with a defect counts with the straight line through it, and with the standard
    /// deviations of [`ImuLimits`], as if all such stretches erred alike.
    pub fn preintegrate(&self, bias: ImuBias, noise: ImuNoise) -> PreintegratedImu {
        let mut whole = PreintegratedImu::new(self.start.stamp, bias, noise);
        let doubtful = self.doubtful_steps();
        for ((from, to), doubtful) in self.samples().zip(self.samples().skip(1)).zip(doubtful) {
            let error = if doubtful { self.error_over(&from, &to) } else { ReadingError::default() };
            whole.append_between(&from, &to, error);
        }
        whole
    }

    /// Steps are independent in the propagation; errors that are alike add up as `L`, not as `√(h L)`.
    fn error_over(&self, from: &ImuSample, to: &ImuSample) -> ReadingError {
        let share = (self.defects.unmeasured / to.stamp.seconds_since(from.stamp)).sqrt();
        ReadingError {
            angular_velocity: share * self.limits.unmeasured_angular_velocity,
            linear_acceleration: share * self.limits.unmeasured_linear_acceleration,
        }
    }

    /// The readings that the steps lie between: those of the buffer, not the interpolated ones.
    fn surrounding(&self) -> impl Iterator<Item = &'a ImuSample> + use<'a> {
        self.samples.range(self.inner.start - 1..=self.inner.end)
    }

    fn is_gap(&self, from: &ImuSample, to: &ImuSample) -> bool {
        to.stamp.seconds_since(from.stamp) > self.limits.max_gap
    }

    fn doubtful_steps(&self) -> impl Iterator<Item = bool> + '_ {
        self.surrounding()
            .zip(self.surrounding().skip(1))
            .map(|(from, to)| self.is_gap(from, to) || self.limits.is_saturated(from) || self.limits.is_saturated(to))
    }

    fn find_defects(&self) -> IntervalDefects {
        let mut defects = IntervalDefects::default();
        for (from, to) in self.surrounding().zip(self.surrounding().skip(1)) {
            let longest = defects.longest_gap.map_or(0, |(from, to)| to.nanos_since(from));
            if self.is_gap(from, to) && to.stamp.nanos_since(from.stamp) > longest {
                defects.longest_gap = Some((from.stamp, to.stamp));
            }
        }
        for sample in self.surrounding().filter(|sample| self.limits.is_saturated(sample)) {
            defects.saturated += 1;
            defects.first_saturated.get_or_insert(sample.stamp);
        }
        let steps = self.samples().zip(self.samples().skip(1)).zip(self.doubtful_steps());
        defects.unmeasured =
            steps.filter(|(_, doubtful)| *doubtful).map(|((from, to), _)| to.stamp.seconds_since(from.stamp)).sum();
        defects
    }
}

/// The reading at `stamp`, on the straight line from the one before `index` to the one there.
fn at(samples: &VecDeque<ImuSample>, index: usize, stamp: Stamp) -> ImuSample {
    let (before, after) = (&samples[index - 1], &samples[index]);
    let ratio = stamp.nanos_since(before.stamp) as f64 / after.stamp.nanos_since(before.stamp) as f64;
    ImuSample {
        stamp,
        angular_velocity: before.angular_velocity.lerp(&after.angular_velocity, ratio),
        linear_acceleration: before.linear_acceleration.lerp(&after.linear_acceleration, ratio),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imu::ImuBuffer;
    use nalgebra::Vector3;
    use std::time::Duration;

    const NOISE: ImuNoise = ImuNoise {
        gyroscope_noise_density: 1e-4,
        gyroscope_random_walk: 1e-5,
        accelerometer_noise_density: 1e-3,
        accelerometer_random_walk: 1e-4,
    };

    fn millis(millis: i64) -> Stamp {
        Stamp::from_nanos(millis * 1_000_000)
    }

    /// Readings at the given milliseconds; the rate of turn about x is the time in seconds.
    fn buffer(stamps: impl IntoIterator<Item = i64>) -> ImuBuffer {
        let mut buffer = ImuBuffer::new(Duration::from_secs(60), ImuLimits::default());
        for at in stamps {
            let angular_velocity = Vector3::new(at as f64 * 1e-3, 0.0, 0.0);
            let linear_acceleration = if at == 505 { Vector3::new(0.0, -160.0, 0.0) } else { Vector3::z() };
            buffer.push(ImuSample { stamp: millis(at), angular_velocity, linear_acceleration }).unwrap();
        }
        buffer
    }

    #[test]
    fn the_ends_are_interpolated() {
        let buffer = buffer((0..=10).map(|index| 10 * index));
        let samples = |from, to| buffer.interval(millis(from), millis(to)).unwrap().samples().collect::<Vec<_>>();
        let found = samples(3, 38);
        let stamps: Vec<i64> = found.iter().map(|sample| sample.stamp.as_nanos() / 1_000_000).collect();
        assert_eq!(stamps, [3, 10, 20, 30, 38]);
        assert!(found.iter().all(|s| (s.angular_velocity.x - s.stamp.as_seconds()).abs() < 1e-15));
        assert_eq!(samples(10, 30).len(), 3);
        assert_eq!(samples(12, 13).len(), 2);
        assert_eq!(samples(0, 100).len(), 11);
    }

    #[test]
    fn an_interval_without_its_readings_is_refused() {
        let filled = buffer([20, 30, 40]);
        let text = |from, to| filled.interval(millis(from), millis(to)).unwrap_err().to_string();
        assert_eq!(text(30, 30), "IMU interval from 0.030000000 to 0.030000000: expected an end after its start");
        assert_eq!(text(40, 30), "IMU interval from 0.040000000 to 0.030000000: expected an end after its start");
        let expected = "expected a reading at or after its end, found the newest at 0.040000000";
        assert_eq!(text(30, 41), format!("IMU interval to 0.041000000: {expected}"));
        let expected = "expected a reading at or before its start, found the oldest at 0.020000000";
        assert_eq!(text(19, 41), format!("IMU interval from 0.019000000: {expected}"));
        let found = buffer([]).interval(millis(0), millis(1)).unwrap_err().to_string();
        assert_eq!(found, "IMU interval: expected readings, found none");
    }

    #[test]
    fn a_gap_is_refused_or_widens_the_covariance() {
        let buffer = buffer((0..=100).map(|index| 10 * index).filter(|at| !(310..390).contains(at)));
        let interval = |from, to| buffer.interval(millis(from), millis(to)).unwrap();
        assert_eq!(interval(0, 300).refuse_defects().unwrap().defects(), IntervalDefects::default());
        let found = interval(0, 1000).refuse_defects().unwrap_err().to_string();
        let expected = "expected readings at most 0.05 s apart, found none between 0.300000000 and 0.390000000";
        assert_eq!(found, format!("IMU interval: {expected}"));
        assert!(interval(350, 1000).refuse_defects().is_err());
        assert!((interval(350, 1000).defects().unmeasured - 0.04).abs() < 1e-12);

        // 0.5 rad/s for 0.09 s about x, on which the steady turn leaves it; the rest is white noise.
        let limits = ImuLimits::default();
        let covariance = interval(0, 1000).preintegrate(ImuBias::zero(), NOISE).covariance();
        let sigma = (0.09 * limits.unmeasured_angular_velocity).hypot(NOISE.gyroscope_noise_density);
        assert!((covariance[(3, 3)].sqrt() / sigma - 1.0).abs() < 1e-3, "{} {sigma}", covariance[(3, 3)].sqrt());
    }

    #[test]
    fn saturation_is_refused_or_widens_the_covariance_as_one_error() {
        let buffer = buffer((0..=200).map(|index| 5 * index));
        let interval = buffer.interval(millis(500), millis(1000)).unwrap();
        let defects = interval.defects();
        assert_eq!((defects.saturated, defects.first_saturated, defects.longest_gap), (1, Some(millis(505)), None));
        // The two steps that the reading at 505 ms ends and begins.
        assert!((defects.unmeasured - 0.01).abs() < 1e-12);
        let found = interval.clone().refuse_defects().unwrap_err().to_string();
        let expected = "expected readings within the sensor's range, found 1 saturated, the first at 0.505000000";
        assert_eq!(found, format!("IMU interval: {expected}"));
        let covariance = interval.preintegrate(ImuBias::zero(), NOISE).covariance();
        // The turn is doubted as well and tilts what comes after: 2 % more.
        let sigma = covariance[(6, 6)].sqrt();
        assert!((sigma / (0.01 * ImuLimits::default().unmeasured_linear_acceleration) - 1.0).abs() < 0.03, "{sigma}");
        assert!(buffer.interval(millis(510), millis(1000)).unwrap().refuse_defects().is_ok());
    }
}
