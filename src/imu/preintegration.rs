//! The readings of an interval as one measurement of relative motion, with its covariance.

use nalgebra::{SMatrix, Vector3, Vector6};

use super::segment::{Matrix9x6, Segment};
use super::transition::Transition;
use super::{ImuBias, ImuNoise, Matrix9};
use crate::geometry::So3;
use crate::sensor::ImuSample;
use crate::{Error, Result, Stamp};

/// A covariance of `[position, rotation, velocity, gyroscope bias, accelerometer bias]`.
pub type Matrix15 = SMatrix<f64, 15, 15>;

/// A relative motion in the axes of the IMU at its start, gravity left out: what the readings alone say (Forster et al.
/// 2017, eq. 33).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ImuDelta {
    /// `∬ R a`, metres.
    pub position: Vector3<f64>,
    /// Rotation from the end to the start.
    pub rotation: So3,
    /// `∫ R a`, m/s.
    pub velocity: Vector3<f64>,
}

/// An error of the readings of one step beyond their noise, constant over the step: a gap or saturation.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ReadingError {
    /// Standard deviation per axis, rad/s.
    pub angular_velocity: f64,
    /// Standard deviation per axis, m/s².
    pub linear_acceleration: f64,
}

/// IMU readings of one interval, integrated: the relative motion, its derivative by the biases and its covariance.
///
/// Nothing is allocated and each reading costs the same, so that it can grow at IMU rate with
/// [`PreintegratedImu::extend`]. The interval is additive: what two neighbours say together is what one over both says.
#[derive(Clone, Debug, PartialEq)]
pub struct PreintegratedImu {
    start: Stamp,
    end: Stamp,
    bias: ImuBias,
    noise: ImuNoise,
    delta: ImuDelta,
    bias_jacobian: Matrix9x6,
    /// Of the delta, from white noise and the walk of the biases after the start.
    covariance: Matrix9,
    /// Of the delta with the change of the biases since the start.
    cross_covariance: Matrix9x6,
}

impl PreintegratedImu {
    /// An interval of no length at `start`, for readings with about these biases.
    pub fn new(start: Stamp, bias: ImuBias, noise: ImuNoise) -> Self {
        Self {
            start,
            end: start,
            bias,
            noise,
            delta: ImuDelta { position: Vector3::zeros(), rotation: So3::identity(), velocity: Vector3::zeros() },
            bias_jacobian: Matrix9x6::zeros(),
            covariance: Matrix9::zeros(),
            cross_covariance: Matrix9x6::zeros(),
        }
    }

    /// The interval from the first to the last of consecutive readings.
    ///
    /// # Errors
    /// When there are fewer than two, or as [`PreintegratedImu::extend`].
    pub fn integrate(samples: &[ImuSample], bias: ImuBias, noise: ImuNoise) -> Result<Self> {
        let (Some(first), true) = (samples.first(), samples.len() > 1) else {
            let found = samples.len().to_string();
            return Err(Error::message("IMU interval", "two readings or more", found));
        };
        let mut whole = Self::new(first.stamp, bias, noise);
        samples.windows(2).try_for_each(|pair| whole.extend(&pair[0], &pair[1], ReadingError::default()))?;
        Ok(whole)
    }

    /// Appends the motion between two consecutive readings; `from` is of the stamp where the interval ends so far.
    ///
    /// # Errors
    /// When `from` is not of that stamp, `to` is not later, or a number is not finite; the interval stays as it was.
    pub fn extend(&mut self, from: &ImuSample, to: &ImuSample, error: ReadingError) -> Result<()> {
        if from.stamp != self.end {
            let expected = format!("a reading at {}, where the interval ends", self.end);
            return Err(Error::message("IMU reading", expected, format!("one at {}", from.stamp)));
        }
        if to.stamp <= from.stamp {
            let expected = format!("a stamp after {}", from.stamp);
            return Err(Error::message("IMU reading", expected, to.stamp.to_string()));
        }
        if let Some(sample) = [from, to].into_iter().find(|sample| !sample.is_finite()) {
            let found =
                format!("{:?}, {:?}", sample.angular_velocity.as_slice(), sample.linear_acceleration.as_slice());
            return Err(Error::message(format!("IMU reading at {}", sample.stamp), "finite numbers", found));
        }
        self.append_between(from, to, error);
        Ok(())
    }

    /// [`PreintegratedImu::extend`] with readings that are known to be sound.
    pub(super) fn append_between(&mut self, from: &ImuSample, to: &ImuSample, error: ReadingError) {
        let duration = to.stamp.seconds_since(from.stamp);
        self.append(&Segment::between(&self.bias.removed_from(from), &self.bias.removed_from(to), duration), error);
        self.end = to.stamp;
    }

    /// One step of Forster et al. 2017, eq. 62-63 and appendix A-B; the names are those of the README.
    fn append(&mut self, segment: &Segment, error: ReadingError) {
        let (h, rotation) = (segment.duration, self.delta.rotation.matrix());
        let transition = Transition::new(&rotation, segment);
        // D: what constant errors of the two sensors over this step do to the delta.
        let mut by_reading = segment.bias_jacobian;
        for (row, column) in [(0, 0), (0, 3), (6, 0), (6, 3)] {
            let turned = rotation * by_reading.fixed_view::<3, 3>(row, column);
            by_reading.fixed_view_mut::<3, 3>(row, column).copy_from(&turned);
        }
        transition.apply(&mut self.bias_jacobian);
        self.bias_jacobian += by_reading;

        // A P Aᵀ by two passes over the rows, P being symmetric.
        transition.apply(&mut self.covariance);
        self.covariance.transpose_mut();
        transition.apply(&mut self.covariance);
        // A X Dᵀ + D Xᵀ Aᵀ + D W Dᵀ, as K Dᵀ + D Kᵀ with K = A X + D W / 2. Over the step the biases walk on: their
        // mean has a third of that variance, and a half of it in common with their end.
        transition.apply(&mut self.cross_covariance);
        let (walked, walking) = (self.walk_variance(self.duration()), self.walk_variance(h));
        let variance = walked + walking / 3.0 + self.white_variance(h) + variance_of(error);
        let half = self.cross_covariance + scale_columns(&by_reading, &(0.5 * variance));
        let product = half * by_reading.transpose();
        self.covariance += product + product.transpose();
        // White noise is not constant over a step: beyond its mean, it moves the position by h³/12 of its density.
        let moved = self.noise.accelerometer_noise_density.powi(2) * h.powi(3) / 12.0;
        (0..3).for_each(|axis| self.covariance[(axis, axis)] += moved);
        self.cross_covariance += scale_columns(&by_reading, &(walked + 0.5 * walking));

        self.delta.position += h * self.delta.velocity + rotation * segment.position;
        self.delta.velocity += rotation * segment.velocity;
        self.delta.rotation = self.delta.rotation * segment.rotation;
    }

    /// Variance of the walk of the biases over `seconds`, per axis.
    fn walk_variance(&self, seconds: f64) -> Vector6<f64> {
        let (g, a) = (self.noise.gyroscope_random_walk, self.noise.accelerometer_random_walk);
        both(g * g, a * a) * seconds
    }

    /// Variance of the mean of white noise over `h` seconds, per axis.
    fn white_variance(&self, h: f64) -> Vector6<f64> {
        let (g, a) = (self.noise.gyroscope_noise_density, self.noise.accelerometer_noise_density);
        both(g * g, a * a) / h
    }

    /// Where the interval begins.
    pub fn start(&self) -> Stamp {
        self.start
    }

    /// Where the interval ends.
    pub fn end(&self) -> Stamp {
        self.end
    }

    /// Length of the interval, seconds.
    pub fn duration(&self) -> f64 {
        self.end.seconds_since(self.start)
    }

    /// The biases that were removed from the readings.
    pub fn bias(&self) -> ImuBias {
        self.bias
    }

    /// The noise that the covariance is of.
    pub fn noise(&self) -> ImuNoise {
        self.noise
    }

    /// The relative motion with the biases of [`PreintegratedImu::bias`].
    pub fn delta(&self) -> ImuDelta {
        self.delta
    }

    /// Derivative of the delta, `[position, rotation, velocity]`, by `[gyroscope bias, accelerometer bias]`; the
    /// rotation moves on the right.
    pub fn bias_jacobian(&self) -> SMatrix<f64, 9, 6> {
        self.bias_jacobian
    }

    /// Covariance of the delta, `[position, rotation, velocity]` in the axes of the start (the rotation on the right),
    /// given the biases at the start.
    pub fn covariance(&self) -> Matrix9 {
        self.covariance
    }

    /// Covariance of the delta together with the change of the biases over the interval, as a factor between two states
    /// with their own biases needs it.
    pub fn covariance_with_biases(&self) -> Matrix15 {
        let mut joint = Matrix15::zeros();
        joint.fixed_view_mut::<9, 9>(0, 0).copy_from(&self.covariance);
        joint.fixed_view_mut::<9, 6>(0, 9).copy_from(&self.cross_covariance);
        joint.fixed_view_mut::<6, 9>(9, 0).copy_from(&self.cross_covariance.transpose());
        joint.fixed_view_mut::<6, 6>(9, 9).set_diagonal(&self.walk_variance(self.duration()));
        joint
    }

    /// The relative motion with other biases, to first order (Forster et al. 2017, eq. 44).
    pub fn delta_with(&self, bias: ImuBias) -> ImuDelta {
        let change = self.bias_jacobian * self.bias.local(bias);
        ImuDelta {
            position: self.delta.position + change.fixed_rows::<3>(0),
            rotation: self.delta.rotation.retract(&change.fixed_rows::<3>(3).into()),
            velocity: self.delta.velocity + change.fixed_rows::<3>(6),
        }
    }

    /// Whether other biases are so far that the first order errs by more than a tenth of a standard deviation: then
    /// integrate the readings again.
    ///
    /// The rotation moved by `φ = J δb` turns the rest of the way; what `delta_with` leaves out is of the size
    /// `|φ|²/2` in rotation and `|φ|²/2` times the way in position and velocity, of which a half is ample.
    pub fn is_far_from(&self, bias: ImuBias) -> bool {
        let change: Vector3<f64> = (self.bias_jacobian * self.bias.local(bias)).fixed_rows::<3>(3).into();
        let second_order = 0.5 * change.norm_squared();
        let sigma = |row: usize| {
            (0..3).map(|axis| self.covariance[(row + axis, row + axis)]).fold(f64::INFINITY, f64::min).max(0.0).sqrt()
        };
        let sizes = [(0, self.delta.position.norm()), (3, 1.0), (6, self.delta.velocity.norm())];
        sizes.into_iter().any(|(row, size)| second_order * size > 0.1 * sigma(row))
    }
}

fn variance_of(error: ReadingError) -> Vector6<f64> {
    both(error.angular_velocity.powi(2), error.linear_acceleration.powi(2))
}

fn both(gyroscope: f64, accelerometer: f64) -> Vector6<f64> {
    Vector6::new(gyroscope, gyroscope, gyroscope, accelerometer, accelerometer, accelerometer)
}

fn scale_columns(matrix: &Matrix9x6, factors: &Vector6<f64>) -> Matrix9x6 {
    let mut scaled = *matrix;
    scaled.column_iter_mut().zip(factors.iter()).for_each(|(mut column, factor)| column *= *factor);
    scaled
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(millis: i64, force: f64) -> ImuSample {
        ImuSample {
            stamp: Stamp::from_nanos(millis * 1_000_000),
            angular_velocity: Vector3::zeros(),
            linear_acceleration: Vector3::new(0.0, 0.0, force),
        }
    }

    #[test]
    fn readings_that_do_not_follow_are_refused() {
        let noise = ImuNoise {
            gyroscope_noise_density: 1e-4,
            gyroscope_random_walk: 1e-5,
            accelerometer_noise_density: 1e-3,
            accelerometer_random_walk: 1e-4,
        };
        let text = |samples: &[ImuSample]| {
            PreintegratedImu::integrate(samples, ImuBias::zero(), noise).unwrap_err().to_string()
        };
        let expected = "IMU interval: expected two readings or more, found";
        assert_eq!(text(&[]), format!("{expected} 0"));
        assert_eq!(text(&[reading(0, 9.0)]), format!("{expected} 1"));
        for second in [10, 5] {
            let found = text(&[reading(10, 9.0), reading(second, 9.0)]);
            let expected = "IMU reading: expected a stamp after 0.010000000, found 0.0";
            assert!(found.starts_with(expected), "{found}");
        }
        let found = text(&[reading(0, 9.0), reading(10, f64::NAN)]);
        let expected = "expected finite numbers, found [0.0, 0.0, 0.0], [0.0, 0.0, NaN]";
        assert_eq!(found, format!("IMU reading at 0.010000000: {expected}"));

        let mut whole = PreintegratedImu::new(Stamp::from_nanos(0), ImuBias::zero(), noise);
        let before = whole.clone();
        let found = whole.extend(&reading(1, 9.0), &reading(2, 9.0), ReadingError::default()).unwrap_err().to_string();
        let expected = "expected a reading at 0.000000000, where the interval ends, found one at 0.001000000";
        assert_eq!(found, format!("IMU reading: {expected}"));
        assert_eq!(whole, before);
    }
}
