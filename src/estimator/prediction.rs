//! Ahead of the camera: the newest keyframe's estimate, carried on by IMU, else by odometry, else by what a robot does.

use nalgebra::{DMatrix, Matrix3, Matrix6, SMatrix, Vector3};

use super::sources::Sources;
use super::window::{Head, ImuModel, Window};
use crate::config::EstimatorConfig;
use crate::geometry::{PoseCovariance, Se3, Vector6};
use crate::imu::{ImuMounting, Matrix9, Matrix15, NavState};
use crate::{Error, Result, Stamp};

/// Where the robot is, and how it moves.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// When.
    pub stamp: Stamp,
    /// Pose of the robot's base in the map.
    pub map_from_base: Se3,
    /// Covariance of its right perturbation.
    pub covariance: PoseCovariance,
    /// Velocity (m/s) then rate of turn (rad/s), in the axes of the base.
    pub twist: Vector6,
    /// Covariance of the twist.
    pub twist_covariance: Matrix6<f64>,
}

/// The estimate at its own stamp.
///
/// # Errors
/// When a covariance is none.
pub fn now(head: &Head, window: &Window, config: &EstimatorConfig) -> Result<Prediction> {
    let base_from_body = window.base_from_body();
    let block = Matrix6::from_fn(|row, column| head.covariance[(row, column)]);
    let body_from_base = base_from_body.inverse();
    let covariance = PoseCovariance::new(&block)?.composed_with(body_from_base);
    let (twist, twist_covariance) = unknown_twist(config);
    Ok(Prediction {
        stamp: head.stamp,
        map_from_base: head.state.map_from_imu * body_from_base,
        covariance: with_map_error(&covariance, config)?,
        twist,
        twist_covariance,
    })
}

/// The estimate at the newest sample.
///
/// # Errors
/// When a covariance is none.
pub fn ahead(head: &Head, window: &Window, sources: &Sources, config: &EstimatorConfig) -> Result<Prediction> {
    let imu = window.imu().and(sources.imu.newest());
    let newest = imu.or(sources.odometry.newest()).unwrap_or(head.stamp).max(head.stamp);
    at(newest, head, window, sources, config)
}

/// The estimate at a stamp from the newest keyframe on.
///
/// # Errors
/// When a covariance is none.
pub fn at(
    stamp: Stamp,
    head: &Head,
    window: &Window,
    sources: &Sources,
    config: &EstimatorConfig,
) -> Result<Prediction> {
    let start = now(head, window, config)?;
    if stamp <= head.stamp {
        return Ok(start);
    }
    if let Some(imu) = window.imu()
        && let Some(prediction) = by_imu(stamp, head, imu, sources, config)?
    {
        return Ok(prediction);
    }
    let known = sources.odometry.newest().map_or(head.stamp, |newest| newest.clamp(head.stamp, stamp));
    let mut motion = None;
    if known > head.stamp {
        motion = sources.odometry_motion(head.stamp, known)?;
    }
    let covered = if motion.is_some() { known } else { head.stamp };
    if covered < stamp {
        let unknown = sources.unknown(covered, stamp)?;
        motion = Some(motion.map_or(unknown, |measured| measured.then(&unknown)));
    }
    let Some(motion) = motion else { return Ok(start) };
    let seconds = stamp.seconds_since(head.stamp);
    Ok(Prediction {
        stamp,
        map_from_base: start.map_from_base * motion.earlier_from_later,
        covariance: start.covariance.chained_with(motion.earlier_from_later, &motion.covariance),
        twist: motion.earlier_from_later.log() / seconds,
        twist_covariance: motion.covariance.matrix() / (seconds * seconds),
    })
}

/// By the IMU, and beyond its newest sample with what may have happened since; `None` where it has no samples.
fn by_imu(
    stamp: Stamp,
    head: &Head,
    imu: &ImuModel,
    sources: &Sources,
    config: &EstimatorConfig,
) -> Result<Option<Prediction>> {
    let Some(newest) = sources.imu.newest().filter(|newest| *newest > head.stamp) else { return Ok(None) };
    let end = newest.min(stamp);
    let Ok(interval) = sources.imu.interval(head.stamp, end) else { return Ok(None) };
    let preintegrated = interval.preintegrate(head.bias, imu.noise);
    let state = preintegrated.predict(&head.state, head.bias, imu.gravity_in_map);
    let linear = preintegrated.linearize(&head.state, head.bias, &state, imu.gravity_in_map);
    let mut by_start = SMatrix::<f64, 9, 15>::zeros();
    by_start.fixed_view_mut::<9, 6>(0, 0).copy_from(&linear.by_pose_i);
    by_start.fixed_view_mut::<9, 3>(0, 6).copy_from(&linear.by_velocity_i);
    by_start.fixed_view_mut::<9, 6>(0, 9).copy_from(&linear.by_bias_i);
    let mut by_end = Matrix9::zeros();
    by_end.fixed_view_mut::<9, 6>(0, 0).copy_from(&linear.by_pose_j);
    by_end.fixed_view_mut::<9, 3>(0, 6).copy_from(&linear.by_velocity_j);
    let inverse = by_end.try_inverse().ok_or_else(|| Error::compute("prediction", "a singular derivative"))?;
    let carry = inverse * by_start;
    let covariance = carry * joint(&head.covariance) * carry.transpose()
        + inverse * preintegrated.covariance() * inverse.transpose();
    let rate = last_rate(sources, end) - head.bias.gyroscope;
    let mut prediction = of_base(stamp, &state, &covariance, &rate, head, imu)?;
    if end < stamp {
        let unknown = sources.unknown(end, stamp)?;
        prediction.covariance = prediction.covariance.chained_with(Se3::identity(), &unknown.covariance);
    }
    prediction.covariance = with_map_error(&prediction.covariance, config)?;
    Ok(Some(prediction))
}

fn of_base(
    stamp: Stamp,
    state: &NavState,
    covariance: &Matrix9,
    rate: &Vector3<f64>,
    head: &Head,
    imu: &ImuModel,
) -> Result<Prediction> {
    let mounting = ImuMounting::new(imu.base_from_imu);
    let of_rate: Matrix3<f64> = joint(&head.covariance).fixed_view::<3, 3>(9, 9).into();
    let base = mounting.base_covariance(state, &(0.5 * (covariance + covariance.transpose())), rate, &of_rate);
    let map_from_base = mounting.map_from_base(state.map_from_imu);
    let map_to_base = map_from_base.rotation.inverse();
    let turn = imu.base_from_imu.rotation;
    let (velocity, rate_of_base) = (map_to_base * mounting.base_velocity(state, rate), turn * *rate);
    let rotation = map_to_base.matrix();
    let mut twist_covariance = Matrix6::zeros();
    let of_velocity = rotation * base.fixed_view::<3, 3>(6, 6) * rotation.transpose();
    twist_covariance.fixed_view_mut::<3, 3>(0, 0).copy_from(&of_velocity);
    let of_rate = turn.matrix() * of_rate * turn.matrix().transpose();
    twist_covariance.fixed_view_mut::<3, 3>(3, 3).copy_from(&of_rate);
    let pose: Matrix6<f64> = base.fixed_view::<6, 6>(0, 0).into();
    Ok(Prediction {
        stamp,
        map_from_base,
        covariance: PoseCovariance::new(&(0.5 * (pose + pose.transpose())))?,
        twist: Vector6::new(velocity.x, velocity.y, velocity.z, rate_of_base.x, rate_of_base.y, rate_of_base.z),
        twist_covariance,
    })
}

/// The rate of turn at the end of an interval.
fn last_rate(sources: &Sources, end: Stamp) -> Vector3<f64> {
    let sample = sources.imu.samples().rev().find(|sample| sample.stamp <= end);
    sample.map_or_else(Vector3::zeros, |sample| sample.angular_velocity)
}

fn joint(covariance: &DMatrix<f64>) -> Matrix15 {
    Matrix15::from_fn(|row, column| covariance[(row, column)])
}

/// What a robot may do of which nothing is measured.
fn unknown_twist(config: &EstimatorConfig) -> (Vector6, Matrix6<f64>) {
    let (v, w) = (config.speed * config.speed, config.rate_of_turn * config.rate_of_turn);
    (Vector6::zeros(), Matrix6::from_diagonal(&Vector6::new(v, v, v, w, w, w)))
}

/// Adds the error that all fixes of the map have in common.
///
/// # Errors
/// When the sum is no covariance.
pub fn with_map_error(covariance: &PoseCovariance, config: &EstimatorConfig) -> Result<PoseCovariance> {
    let (p, r) = (config.map_position_sigma.powi(2), config.map_rotation_sigma.powi(2));
    PoseCovariance::new(&(covariance.matrix() + Matrix6::from_diagonal(&Vector6::new(p, p, p, r, r, r))))
}
