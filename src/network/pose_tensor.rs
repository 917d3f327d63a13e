//! Poses as tensors, in the units the network works in.
//!
//! The network regresses *normalized* translations: `map = mean + scale * normalized`, so that its outputs are of the
//! order of one whatever the size of the place. Relative translations are differences and know only the scale.
//! Quaternions are ordered w, x, y, z here, as VLocNet's heads have them; `q` and `-q` are one rotation.

use nalgebra::Vector3;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::geometry::{Se3, So3};
use crate::{Error, Result};

/// Where the normalized translation 0 lies in the map, and how long its unit is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MapFromNormalized {
    /// The origin, metres in the map.
    pub mean: [f64; 3],
    /// The unit, metres.
    pub scale: f64,
}

impl MapFromNormalized {
    /// From the training poses: their mean, and the root mean square of their distances per axis.
    ///
    /// # Errors
    /// [`Error::Compute`] without any pose, or when one is not finite.
    pub fn fit<'a>(map_from_camera: impl IntoIterator<Item = &'a Se3>) -> Result<Self> {
        let positions: Vec<Vector3<f64>> = map_from_camera.into_iter().map(|pose| pose.translation).collect();
        let count = positions.len().max(1) as f64;
        let mean = positions.iter().sum::<Vector3<f64>>() / count;
        let variance = positions.iter().map(|position| (position - mean).norm_squared()).sum::<f64>() / (3.0 * count);
        if positions.is_empty() || !variance.is_finite() {
            let found = if positions.is_empty() { "there are none" } else { "one is not finite" };
            return Err(Error::compute("normalization of the training poses", found));
        }
        // A camera that only turned has no extent: a centimetre is the smallest unit that makes sense.
        Ok(Self { mean: mean.into(), scale: variance.sqrt().max(0.01) })
    }

    /// Whether points can be told in them: a finite mean, a positive scale.
    pub fn is_usable(&self) -> bool {
        self.mean.iter().all(|value| value.is_finite()) && self.scale.is_finite() && self.scale > 0.0
    }

    /// The same scale around zero: for relative poses.
    pub fn relative(&self) -> Self {
        Self { mean: [0.0; 3], scale: self.scale }
    }
}

/// A batch of poses in normalized units: what losses compare.
#[derive(Debug)]
pub struct PoseTensor {
    /// Normalized translations.
    pub translation_b3: Tensor,
    /// Unit quaternions w, x, y, z of either sign.
    pub quaternion_b4: Tensor,
}

impl PoseTensor {
    /// The normalized batch of poses in metres, as single precision on `device`.
    pub fn from_poses(poses: &[Se3], map_from_normalized: &MapFromNormalized, device: Device) -> Self {
        Self::from_scenes(poses.iter().map(|pose| (pose, map_from_normalized)), device)
    }

    /// The same of poses that each have units of their own.
    pub fn from_scenes<'a>(
        poses: impl ExactSizeIterator<Item = (&'a Se3, &'a MapFromNormalized)>,
        device: Device,
    ) -> Self {
        let rows = poses.len() as i64;
        let mut translations = Vec::with_capacity(3 * poses.len());
        let mut quaternions = Vec::with_capacity(4 * poses.len());
        for (pose, MapFromNormalized { mean, scale }) in poses {
            translations.extend((0..3).map(|axis| ((pose.translation[axis] - mean[axis]) / scale) as f32));
            let [x, y, z, w] = pose.rotation.to_xyzw();
            quaternions.extend([w, x, y, z].map(|value| value as f32));
        }
        Self {
            translation_b3: Tensor::from_slice(&translations).view([rows, 3]).to_device(device),
            quaternion_b4: Tensor::from_slice(&quaternions).view([rows, 4]).to_device(device),
        }
    }

    /// The poses of the batch in metres.
    ///
    /// # Errors
    /// [`Error::Compute`] when a number is not finite or a quaternion is not of unit length: never a pose then.
    pub fn to_poses(&self, map_from_normalized: &MapFromNormalized) -> Result<Vec<Se3>> {
        let MapFromNormalized { mean, scale } = map_from_normalized;
        let translations = numbers(&self.translation_b3);
        let quaternions = numbers(&self.quaternion_b4);
        let rows = translations.chunks_exact(3).zip(quaternions.chunks_exact(4));
        let poses = rows.map(|(t, q)| {
            let translation = Vector3::from_fn(|axis, _| mean[axis] + scale * t[axis]);
            let pose = So3::from_xyzw(q[1], q[2], q[3], q[0]).map(|rotation| Se3::new(rotation, translation));
            pose.filter(|pose| pose.is_finite()).ok_or_else(|| {
                let reason = format!("expected finite numbers and a unit quaternion, found t {t:?}, q (wxyz) {q:?}");
                Error::compute("pose regression", reason)
            })
        });
        poses.collect()
    }

    /// A copy through which no gradient flows.
    pub fn detach(&self) -> Self {
        Self { translation_b3: self.translation_b3.detach(), quaternion_b4: self.quaternion_b4.detach() }
    }

    /// The rows from `start`, `length` of them.
    pub fn narrow(&self, start: i64, length: i64) -> Self {
        Self {
            translation_b3: self.translation_b3.narrow(0, start, length),
            quaternion_b4: self.quaternion_b4.narrow(0, start, length),
        }
    }
}

/// The numbers of a tensor in row-major order.
pub(super) fn numbers(tensor: &Tensor) -> Vec<f64> {
    let tensor = tensor.detach().to_device(Device::Cpu).to_kind(Kind::Double).contiguous();
    let mut values = vec![0.0; tensor.numel()];
    tensor.copy_data(&mut values, tensor.numel());
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poses_survive_the_way_through_a_tensor() {
        let rotation = So3::exp(&Vector3::new(0.3, -2.0, 1.0));
        let poses = [Se3::new(rotation, Vector3::new(4.0, -1.0, 2.5)), Se3::identity()];
        let frame = MapFromNormalized::fit(&poses).unwrap();
        assert_eq!(frame.mean, [2.0, -0.5, 1.25]);
        let back = PoseTensor::from_poses(&poses, &frame, Device::Cpu).to_poses(&frame).unwrap();
        for (pose, again) in poses.iter().zip(back) {
            assert!(pose.local(again).norm() < 1e-5);
        }
    }

    #[test]
    fn numbers_that_are_not_a_pose_are_refused() {
        let frame = MapFromNormalized { mean: [0.0; 3], scale: 1.0 };
        for (t, q) in [([f32::NAN, 0.0, 0.0], [1.0f32, 0.0, 0.0, 0.0]), ([0.0; 3], [0.0; 4])] {
            let tensor = PoseTensor {
                translation_b3: Tensor::from_slice(&t).view([1, 3]),
                quaternion_b4: Tensor::from_slice(&q).view([1, 4]),
            };
            let error = tensor.to_poses(&frame).unwrap_err().to_string();
            assert!(error.contains("pose regression: expected finite numbers and a unit quaternion"), "{error}");
        }
    }

    #[test]
    fn no_poses_have_no_scale() {
        let error = MapFromNormalized::fit(&[]).unwrap_err().to_string();
        assert_eq!(error, "normalization of the training poses: there are none");
    }
}
