//! How right a replay was: what the node said, beside the poses that the recording itself knows.
//!
//! The poses are read after the replay has ended; nothing of them can reach the network or the estimator. Every image
//! with a known pose counts, also one that got no answer. Rows: `pose`, causal, as a robot would have had it;
//! `absolute_pose`, what the network alone says; and the smoothed trajectory, which is not causal.

use std::collections::BTreeMap;
use std::path::Path;

use crate::config::Config;
use crate::dataset::{CameraExtrinsics, Dataset, RosbagDataset, RosbagDatasetOptions};
use crate::estimator::SmoothedRun;
use crate::evaluation::{Baseline, Evaluation, FrameResult, Metrics, Provenance};
use crate::geometry::Se3;
use crate::middleware::{Names, StampedPose};
use crate::sensor::AbsolutePose;
use crate::{Error, Result, Stamp};

/// What was said of each image, by its stamp.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// `pose`.
    pub pose: BTreeMap<Stamp, StampedPose>,
    /// `absolute_pose`.
    pub absolute_pose: BTreeMap<Stamp, Se3>,
    /// The trajectory in hindsight.
    pub smoothed: BTreeMap<Stamp, Se3>,
}

impl Said {
    /// Adds the runs of the trajectory in hindsight.
    pub fn smooth(&mut self, runs: &[SmoothedRun]) {
        let poses = runs.iter().flat_map(|run| &run.poses);
        self.smoothed = poses.map(|pose| (pose.stamp, pose.map_from_base)).collect();
    }
}

/// Compares, and writes the files of [`Evaluation::write_all`] into `folder`. Poses here are those of the robot's base.
///
/// # Errors
/// When the bag has no poses of the base where `options` say, or a file cannot be written.
pub(super) fn measure(
    bag: &Path,
    options: &RosbagDatasetOptions,
    config: &Config,
    names: &Names,
    said: &Said,
    folder: &Path,
) -> Result<Metrics> {
    let known = RosbagDataset::open(bag, &of_base(options, config, names)?)?;
    known.notes().iter().for_each(|note| tracing::warn!("{}: {note}", known.name()));
    let pose_topic = options.pose_topic.as_deref().unwrap_or("/tf");
    let result = |frame: &crate::dataset::FrameInfo| FrameResult {
        name: frame.name.clone(),
        stamp: frame.stamp,
        truth: frame.map_from_camera,
        estimate: said.pose.get(&frame.stamp).map(|pose| AbsolutePose {
            stamp: pose.stamp,
            map_from_camera: pose.map_from_base,
            covariance: pose.covariance.matrix(),
        }),
    };
    let results: Vec<FrameResult> = known.frames().iter().map(result).collect();
    let row = |name: &str, poses: &BTreeMap<Stamp, Se3>| Baseline {
        name: name.to_owned(),
        poses: known.frames().iter().map(|frame| poses.get(&frame.stamp).copied()).collect(),
    };
    let mut baselines = vec![row("absolute_pose (network alone)", &said.absolute_pose)];
    if !said.smoothed.is_empty() {
        baselines.push(row("smoothed (not causal)", &said.smoothed));
    }
    let evaluation = Evaluation {
        name: "pose".to_owned(),
        provenance: Provenance {
            dataset: known.name().to_owned(),
            ground_truth: format!("{pose_topic} of the bag"),
            split: "every image with a known pose".to_owned(),
            commit: option_env!("VLOC_COMMIT").map(str::to_owned),
            command: std::env::args().collect::<Vec<_>>().join(" "),
            ..Provenance::default()
        },
        baselines,
        ..Evaluation::default()
    };
    evaluation.write_all(folder, &results)
}

/// The options under which the images of the bag have the poses of the robot's base.
fn of_base(options: &RosbagDatasetOptions, config: &Config, names: &Names) -> Result<RosbagDatasetOptions> {
    if let Some(frame) = options.base_frame.as_ref().filter(|frame| **frame != config.base_frame_id) {
        let expected = format!("{}, whose poses the node publishes", config.base_frame_id);
        return Err(Error::config("base_frame of the known poses", expected, frame.clone()));
    }
    let image = match config.image_transport {
        crate::config::ImageTransport::Raw => names.resolve("image")?,
        crate::config::ImageTransport::Compressed => names.resolve("image/compressed")?,
    };
    Ok(RosbagDatasetOptions {
        image_topic: Some(image),
        camera_info_topic: Some(names.resolve("camera_info")?),
        base_frame: Some(config.base_frame_id.clone()),
        base_from_camera: Some(CameraExtrinsics { translation: [0.0; 3], rotation_xyzw: [0.0, 0.0, 0.0, 1.0] }),
        ..options.clone()
    })
}
