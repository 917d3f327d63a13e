//! From what a stream says to a pose in metres with its covariance, before calibration.

use tch::{Kind, Tensor};

use super::pose_head::PoseOutput;
use super::pose_tensor::{MapFromNormalized, PoseTensor, numbers};
use super::uncertainty::raw_covariance;
use crate::Result;
use crate::geometry::{Matrix6, Se3, Vector6};

/// A prediction in metres before its calibration.
pub(super) struct Prediction {
    pub(super) pose: Se3,
    pub(super) raw_covariance: Matrix6,
}

/// The first row as the prediction, the others as samples of it; metres.
pub(super) fn prediction(output: &PoseOutput, units: &MapFromNormalized) -> Result<Prediction> {
    let poses = output.pose().to_poses(units)?;
    let variances = variances(output.log_variance_b6().map(|rows| rows.narrow(0, 0, 1)), units);
    Ok(Prediction { pose: poses[0], raw_covariance: raw_covariance(poses[0], &variances, &poses[1..])? })
}

/// The mean over all rows as the prediction, the rows as samples of it: parts of one image; metres.
pub(super) fn mean_prediction(output: &PoseOutput, units: &MapFromNormalized) -> Result<Prediction> {
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
    Ok(Prediction { pose, raw_covariance: raw_covariance(pose, &variances, &output.pose().to_poses(units)?)? })
}

/// Predicted variances in metres and radians; none where the samples alone say it.
fn variances(log_variance_16: Option<Tensor>, units: &MapFromNormalized) -> Vector6 {
    let Some(log_variance) = log_variance_16.map(|row| numbers(&row)) else { return Vector6::zeros() };
    Vector6::from_fn(|axis, _| {
        let unit = if axis < 3 { units.scale } else { 1.0 };
        log_variance[axis].exp() * unit * unit
    })
}
