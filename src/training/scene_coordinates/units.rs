//! The units of the points that a model says: what it says at its start lies in their middle.

use nalgebra::Vector3;

use super::buffer::CellBuffer;
use super::partners::focus;
use crate::Result;
use crate::geometry::Se3;
use crate::network::MapFromNormalized;

/// The middle of the known points of cells, of which there is at least one, and their root mean square distance to it per axis.
pub(super) fn units_of_points(buffer: &CellBuffer) -> MapFromNormalized {
    let count = buffer.points().count() as f64;
    let mean = buffer.points().sum::<Vector3<f64>>() / count;
    let variance = buffer.points().map(|point| (point - mean).norm_squared()).sum::<f64>() / (3.0 * count);
    MapFromNormalized { mean: mean.into(), scale: variance.sqrt().max(0.01) }
}

/// The middle of what cameras look at, when the scene is `depth` metres away, and a unit from how much that differs. The paper
/// (ACE) starts at the middle of the cameras, which lies behind many of them. Points are on all sides of what a camera looks at,
/// in the middle about a third of the depth away along each axis.
///
/// # Errors
/// Those of [`MapFromNormalized::fit`].
pub(super) fn units_of_poses(map_from_camera: &[Se3], depth: f64) -> Result<MapFromNormalized> {
    let seen = |pose: &Se3| Se3::new(pose.rotation, focus(pose, depth));
    let of_foci = MapFromNormalized::fit(&map_from_camera.iter().map(seen).collect::<Vec<_>>())?;
    Ok(MapFromNormalized { scale: of_foci.scale.hypot(depth / 3.0), ..of_foci })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::geometry::So3;

    #[test]
    fn units_of_poses_have_the_scene_in_their_middle() {
        // Around a thing at (5, 1, 0), looking at it from 2 m away.
        let around = |step: usize| {
            let rotation = So3::exp(&Vector3::new(0.0, 0.5 * step as f64, 0.0));
            Se3::new(rotation, Vector3::new(5.0, 1.0, 0.0) - rotation * Vector3::new(0.0, 0.0, 2.0))
        };
        let poses: Vec<Se3> = (0..4).map(around).collect();
        let units = units_of_poses(&poses, 2.0).unwrap();
        assert!((Vector3::from(units.mean) - Vector3::new(5.0, 1.0, 0.0)).norm() < 1e-9, "{units:?}");
        assert!((units.scale - 2.0 / 3.0).abs() < 0.01, "{units:?}");
        // Turned and moved with the map, ten times as large.
        let map = Se3::new(So3::exp(&Vector3::new(0.3, 1.0, -0.2)), Vector3::new(100.0, -7.0, 3.0));
        let large = |pose: &Se3| map * Se3::new(pose.rotation, 10.0 * pose.translation);
        let other = units_of_poses(&poses.iter().map(large).collect::<Vec<_>>(), 20.0).unwrap();
        assert!((Vector3::from(other.mean) - map * Vector3::new(50.0, 10.0, 0.0)).norm() < 1e-9, "{other:?}");
        assert!((other.scale / units.scale - 10.0).abs() < 1e-2);
        let nowhere = Se3::new(So3::identity(), Vector3::repeat(f64::NAN));
        assert!(units_of_poses(&[nowhere], 2.0).is_err() && units_of_poses(&[], 2.0).is_err());
    }
}
