//! The last pose in a file, over a restart of the node.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::config::{Config, load_yaml};
use crate::geometry::{PoseCovariance, Se3, So3};
use crate::middleware::StampedPose;
use crate::{Error, Result, Stamp};

/// Standard deviations of a pose that was kept over a restart, metres and radians: as unsure as `initial_pose`.
const SIGMAS: (f64, f64) = (0.5, 0.26);

/// What is in the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedPose {
    /// The file; not in it.
    #[serde(skip)]
    path: std::path::PathBuf,
    /// The model that found the pose: another one's map may be another.
    model: std::path::PathBuf,
    frame_id: String,
    /// Nanoseconds.
    stamp: i64,
    /// Metres.
    position: [f64; 3],
    /// x, y, z, w.
    orientation: [f64; 4],
}

impl SavedPose {
    /// A pose on its way to the file that the configuration names.
    pub fn new(config: &Config, pose: &StampedPose) -> Self {
        let [x, y, z, w] = pose.map_from_base.rotation.to_xyzw();
        Self {
            path: config.saved_pose_filepath.clone(),
            model: config.model.clone(),
            frame_id: pose.frame_id.clone(),
            stamp: pose.stamp.as_nanos(),
            position: pose.map_from_base.translation.into(),
            orientation: [x, y, z, w],
        }
    }

    /// Writes the file: beside it first, so that it is never half a file.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be written.
    pub fn write(&self) -> Result<()> {
        let text = serde_yaml::to_string(self)
            .map_err(|error| Error::config("saved pose", "numbers that YAML can hold", error.to_string()))?;
        let beside = self.path.with_extension("yaml.new");
        std::fs::write(&beside, text).map_err(Error::io("write", &beside))?;
        std::fs::rename(&beside, &self.path).map_err(Error::io("write", &self.path))
    }

    /// The pose in the file that the configuration names, true from now on; `None` without a file.
    ///
    /// # Errors
    /// [`Error::Format`] or [`Error::Config`] when it is no pose, or one of another frame or model.
    pub fn read(config: &Config) -> Result<Option<StampedPose>> {
        let path: &Path = &config.saved_pose_filepath;
        if path.as_os_str().is_empty() {
            let found = "none, with initialize_at_saved_pose: true";
            return Err(Error::config("saved_pose_filepath", "the file of the saved pose", found));
        }
        if !path.exists() {
            return Ok(None);
        }
        let saved: SavedPose = load_yaml(path)?;
        if saved.model != config.model || saved.frame_id != config.global_frame_id {
            let expected = format!("a pose of {} in {}", config.model.display(), config.global_frame_id);
            return Err(Error::format(
                path,
                expected,
                format!("one of {} in {}", saved.model.display(), saved.frame_id),
            ));
        }
        let [x, y, z, w] = saved.orientation;
        let rotation = So3::from_xyzw(x, y, z, w);
        let pose = rotation.map(|rotation| Se3::new(rotation, saved.position.into())).filter(|pose| pose.is_finite());
        let refused = || Error::format(path, "a finite position and a unit quaternion", format!("{saved:?}"));
        Ok(Some(StampedPose {
            stamp: Stamp::default(),
            frame_id: saved.frame_id.clone(),
            map_from_base: pose.ok_or_else(refused)?,
            covariance: PoseCovariance::from_sigmas(SIGMAS.0, SIGMAS.1)?,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pose_comes_back_and_another_maps_does_not() {
        let work = tempfile::tempdir().unwrap();
        let saved_pose_filepath = work.path().join("pose.yaml");
        let config = Config { model: "models/a".into(), saved_pose_filepath, ..Config::default() };
        assert_eq!(SavedPose::read(&config).unwrap(), None);
        let pose = StampedPose {
            stamp: Stamp::from_nanos(5),
            frame_id: "map".into(),
            map_from_base: Se3::new(So3::exp(&[0.1, 0.2, 0.3].into()), [1.0, 2.0, 3.0].into()),
            covariance: PoseCovariance::from_sigmas(0.01, 0.01).unwrap(),
        };
        SavedPose::new(&config, &pose).write().unwrap();
        let read = SavedPose::read(&config).unwrap().unwrap();
        assert!(read.map_from_base.local(pose.map_from_base).norm() < 1e-12);
        assert_eq!((read.stamp, read.covariance.matrix()[(0, 0)]), (Stamp::default(), 0.25));

        let other = Config { model: "models/b".into(), ..config.clone() };
        assert!(SavedPose::read(&other).unwrap_err().to_string().contains("models/b"));
        std::fs::write(&config.saved_pose_filepath, "frame_id: map").unwrap();
        assert!(SavedPose::read(&config).is_err());
    }
}
