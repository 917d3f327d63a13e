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
