//! From what a network says of a frame to one pose in metres with its covariance before calibration.
//!
//! - Of one forward pass: the deterministic row with samples of the dropout about it ([`Prediction::of_samples`]).
//! - Of parts of an image: the mean over them, each a sample ([`Prediction::of_parts`]).
//! - Of an ensemble: the mean of the members' poses on SE(3) and, by the law of total variance, the mean of their
//!   covariances plus their spread (Lakshminarayanan, Pritzel & Blundell 2017, section 2.4, for poses)
//!   ([`Prediction::of_members`]): with δᵢ = local(mean, poseᵢ) and the right Jacobian J of SE(3), which takes a
//!   covariance in the tangent of poseᵢ to that of the mean,
//!
//!   Σ = 1/N Σᵢ (J⁻¹(δᵢ) Σᵢ J⁻ᵀ(δᵢ) + δᵢ δᵢᵀ).
//!
//!   Where the Σᵢ are calibrated to what each member errs by on frames of its own (folds), their mean alone is an upper
//!   bound already: the square of a mean error is at most the mean of the squares (Jensen). δᵢ would count twice.
//! - Of two frames: the mean of the motion from one to the other and of the inverse of the motion back
//!   ([`Prediction::of_both_ways`]). What a network adds to every motion, whatever the frames show, cancels, and a camera
//!   that did not move has not moved: the log of this mean changes its sign with the order of the frames.

use tch::Kind;
use tch::Tensor;

use super::pose_head::PoseOutput;
use super::pose_tensor::{MapFromNormalized, PoseTensor, numbers};
use super::uncertainty::raw_covariance;
use crate::geometry::{Matrix6, Se3, Vector6};
use crate::{Error, Result};

/// A prediction in metres before its calibration.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prediction {
    pub(super) pose: Se3,
    pub(super) raw_covariance: Matrix6,
}

impl Prediction {
    /// The first row as the prediction, the others as samples of it.
    pub(super) fn of_samples(output: &PoseOutput, units: &MapFromNormalized) -> Result<Self> {
        let poses = output.pose().to_poses(units)?;
        let variances = variances(output.log_variance_b6().map(|rows| rows.narrow(0, 0, 1)), units);
        Ok(Self { pose: poses[0], raw_covariance: raw_covariance(poses[0], &variances, &poses[1..])? })
    }

    /// The motion, by less than a right angle, of which one prediction is `there`, and that of its inverse `back`. Their
    /// covariances are averaged, as if they erred alike.
    ///
    /// # Errors
    /// When a number is not finite.
    pub(super) fn of_both_ways(there: Self, back: Self) -> Result<Self> {
        let adjoint = back.pose.adjoint();
        let raw_covariance = adjoint * back.raw_covariance * adjoint.transpose();
        Self::of_members(&[there, Self { pose: back.pose.inverse(), raw_covariance }], false)
    }

    /// The mean over all rows as the prediction, the rows as samples of it: parts of one image.
    pub(super) fn of_parts(output: &PoseOutput, units: &MapFromNormalized) -> Result<Self> {
        let PoseTensor { translation_b3, quaternion_b4 } = output.pose();
        let of_first =
            (quaternion_b4 * quaternion_b4.narrow(0, 0, 1)).sum_dim_intlist([1i64].as_slice(), true, None::<Kind>);
        let aligned = quaternion_b4 * (of_first.ge(0.0).to_kind(Kind::Float) * 2.0 - 1.0);
        let mean = |rows: &Tensor| rows.mean_dim([0i64].as_slice(), true, None::<Kind>);
        let quaternion = mean(&aligned);
        let norm = quaternion.square().sum(None::<Kind>).sqrt();
        let pose =
            PoseTensor { translation_b3: mean(translation_b3), quaternion_b4: quaternion / norm }.to_poses(units)?[0];
        let variances = variances(output.log_variance_b6().map(|rows| mean(&rows.exp()).log()), units);
        Ok(Self { pose, raw_covariance: raw_covariance(pose, &variances, &output.pose().to_poses(units)?)? })
    }

    /// The mixture of an ensemble's predictions; one alone stays as it is. `spread`: whether what they differ by counts
    /// beside the mean of their covariances.
    ///
    /// # Errors
    /// [`Error::Compute`] without a member, or when a number is not finite.
    pub(super) fn of_members(members: &[Self], spread: bool) -> Result<Self> {
        if let [only] = members {
            return Ok(*only);
        }
        let poses: Vec<Se3> = members.iter().map(|member| member.pose).collect();
        let none = || Error::compute("mean of an ensemble", "expected at least one member, found none");
        let pose = Se3::mean(&poses).ok_or_else(none)?;
        let moved = members.iter().map(|member| {
            let jacobian = Se3::right_jacobian_inverse(&pose.local(member.pose));
            jacobian * member.raw_covariance * jacobian.transpose()
        });
        let within = moved.sum::<Matrix6>() / members.len() as f64;
        let raw_covariance = match spread {
            true => within + raw_covariance(pose, &Vector6::zeros(), &poses)?,
            false => within,
        };
        Ok(Self { pose, raw_covariance })
    }
}

/// Predicted variances in metres and radians; none where the samples alone say it.
fn variances(log_variance_16: Option<Tensor>, units: &MapFromNormalized) -> Vector6 {
    let Some(log_variance) = log_variance_16.map(|row| numbers(&row)) else { return Vector6::zeros() };
    Vector6::from_fn(|axis, _| {
        let unit = if axis < 3 { units.scale } else { 1.0 };
        log_variance[axis].exp() * unit * unit
    })
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, StandardNormal};

    use super::*;

    #[test]
    fn a_mixture_has_the_moments_of_poses_drawn_from_its_members() {
        let mut generator = ChaCha8Rng::seed_from_u64(11);
        let sigmas = [
            Vector6::new(0.05, 0.02, 0.03, 0.01, 0.04, 0.02),
            Vector6::new(0.01, 0.08, 0.02, 0.03, 0.01, 0.05),
            Vector6::new(0.04, 0.03, 0.06, 0.02, 0.02, 0.01),
        ];
        let start = Se3::exp(&Vector6::new(1.0, -2.0, 0.5, 0.3, -1.0, 2.0));
        let members: Vec<Prediction> = sigmas
            .iter()
            .map(|sigma| {
                let offset = Vector6::from_fn(|axis, _| {
                    let normal: f64 = StandardNormal.sample(&mut generator);
                    normal * if axis < 3 { 0.2 } else { 0.1 }
                });
                let raw_covariance = Matrix6::from_diagonal(&sigma.component_mul(sigma));
                Prediction { pose: start.retract(&offset), raw_covariance }
            })
            .collect();
        let mixture = Prediction::of_members(&members, true).unwrap();

        let draws: Vec<Vector6> = (0..200_000)
            .map(|_| {
                let index = generator.random_range(0..members.len());
                let normal = Vector6::from_fn(|_, _| StandardNormal.sample(&mut generator));
                let pose = members[index].pose.retract(&normal.component_mul(&sigmas[index]));
                mixture.pose.local(pose)
            })
            .collect();
        let mean = draws.iter().sum::<Vector6>() / draws.len() as f64;
        assert!(mean.amax() < 2e-3, "{mean}");
        let covariance = draws.iter().map(|xi| xi * xi.transpose()).sum::<Matrix6>() / draws.len() as f64;
        let scale = |axis: usize| covariance[(axis, axis)].sqrt();
        for row in 0..6 {
            for column in 0..6 {
                let difference = covariance[(row, column)] - mixture.raw_covariance[(row, column)];
                assert!(difference.abs() < 0.02 * scale(row) * scale(column), "{row} {column}: {difference}");
            }
        }
    }

    fn certain(pose: Se3) -> Prediction {
        Prediction { pose, raw_covariance: Matrix6::identity() * 1e-18 }
    }

    #[test]
    fn what_is_added_to_every_motion_cancels() {
        let bias = Se3::exp(&Vector6::new(0.05, -0.02, 0.03, 0.02, 0.04, -0.03));
        let said = |motion: Se3| certain(motion * bias);
        let at_rest = Prediction::of_both_ways(said(Se3::identity()), said(Se3::identity())).unwrap();
        assert!(at_rest.pose.log().amax() < 1e-12, "{}", at_rest.pose.log());

        let motion = Se3::exp(&Vector6::new(0.02, 0.01, -0.03, 0.01, -0.02, 0.01));
        let there = Prediction::of_both_ways(said(motion), said(motion.inverse())).unwrap();
        assert!(there.pose.local(motion).norm() < 0.03 * bias.log().norm(), "{}", there.pose.local(motion));
        let back = Prediction::of_both_ways(said(motion.inverse()), said(motion)).unwrap();
        assert!((there.pose * back.pose).log().amax() < 1e-12);
    }

    #[test]
    fn the_covariance_of_the_motion_back_is_turned_round() {
        let motion = Se3::exp(&Vector6::new(1.0, -0.5, 2.0, 0.5, -0.3, 0.8));
        let sigma = Vector6::new(0.05, 0.02, 0.03, 0.01, 0.04, 0.02) * 0.1;
        let back = Prediction { pose: motion.inverse(), raw_covariance: Matrix6::from_diagonal(&sigma.map(|x| x * x)) };
        let found = Prediction::of_both_ways(certain(motion), back).unwrap().raw_covariance;
        let mut generator = ChaCha8Rng::seed_from_u64(5);
        let draws = (0..100_000).map(|_| {
            let normal = Vector6::from_fn(|_, _| StandardNormal.sample(&mut generator));
            motion.local(back.pose.retract(&normal.component_mul(&sigma)).inverse())
        });
        let drawn = draws.map(|xi| xi * xi.transpose()).sum::<Matrix6>() / 100_000.0;
        let scale = |axis: usize| drawn[(axis, axis)].sqrt();
        for (row, column) in (0..6).flat_map(|row| (0..6).map(move |column| (row, column))) {
            let difference = drawn[(row, column)] - 2.0 * found[(row, column)];
            assert!(difference.abs() < 0.02 * scale(row) * scale(column), "{row} {column}: {difference}");
        }
    }

    #[test]
    fn one_member_is_what_it_says_and_none_is_an_error() {
        let pose = Se3::exp(&Vector6::repeat(0.3));
        let alone = Prediction { pose, raw_covariance: Matrix6::identity() };
        let mixture = Prediction::of_members(&[alone], true).unwrap();
        assert_eq!((mixture.pose, mixture.raw_covariance), (pose, Matrix6::identity()));
        let error = Prediction::of_members(&[], true).unwrap_err().to_string();
        assert_eq!(error, "mean of an ensemble: expected at least one member, found none");
    }
}
