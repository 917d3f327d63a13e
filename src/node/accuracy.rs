//! How right a replay was: what the node said, beside the poses that the recording itself knows.
//!
//! The poses are read after the replay has ended; nothing of them can reach the network or the estimator. Every image
//! with a known pose counts, also one that got no answer. Rows: `pose`, causal, as a robot would have had it;
//! `absolute_pose`, what the network alone says; and the smoothed trajectory, which is not causal.

use std::collections::BTreeMap;
use std::path::Path;

use crate::config::Config;
use crate::dataset::{CameraExtrinsics, Dataset, FrameInfo, RosbagDataset, RosbagDatasetOptions};
use crate::estimator::SmoothedRun;
use crate::estimator::calibration::true_correlation_time;
use crate::evaluation::fusion_plots::write_pictures;
use crate::evaluation::{Baseline, Evaluation, FrameResult, Metrics, Provenance};
use crate::geometry::Se3;
use crate::middleware::{Names, StampedPose};
use crate::sensor::AbsolutePose;
use crate::{Error, Result, Stamp};

/// How right a replay was.
#[derive(Clone, Debug, PartialEq)]
pub struct Accuracy {
    /// Every number; poses are those of the robot's base.
    pub metrics: Metrics,
    /// The `estimator.correlation_time` with which the 90 % ellipsoid would have held 90 % on this recording, seconds;
    /// `None` without the estimator, or with too few answers to tell.
    pub correlation_time: Option<f64>,
}

/// What a comparison rests on.
pub(super) struct Measured {
    /// Its numbers.
    pub accuracy: Accuracy,
    /// Rows and provenance.
    pub evaluation: Evaluation,
    /// What the network alone said, per frame.
    pub alone: Vec<FrameResult>,
    /// What was published, per frame.
    pub fused: Vec<FrameResult>,
}

/// What was said of each image, by its stamp.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// `pose`.
    pub pose: BTreeMap<Stamp, StampedPose>,
    /// `absolute_pose`.
    pub absolute_pose: BTreeMap<Stamp, StampedPose>,
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

/// Compares, and writes the files of [`Evaluation::write_all`] and three pictures more into `folder`. Poses here are those of the robot's base.
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
) -> Result<Measured> {
    let known = RosbagDataset::open(bag, &of_base(options, config, names)?)?;
    known.notes().iter().for_each(|note| tracing::warn!("{}: {note}", known.name()));
    let pose_topic = options.pose_topic.as_deref().unwrap_or("/tf");
    let results = |said: &BTreeMap<Stamp, StampedPose>| -> Vec<FrameResult> {
        known.frames().iter().map(|frame| result(frame, said.get(&frame.stamp))).collect()
    };
    let (fused, alone) = (results(&said.pose), results(&said.absolute_pose));
    let network = alone.iter().map(|frame| frame.estimate.as_ref().map(|estimate| estimate.map_from_camera));
    let baseline = |name: &str, poses: Vec<Option<Se3>>| Baseline { name: name.to_owned(), poses };
    let smoothed = known.frames().iter().map(|frame| said.smoothed.get(&frame.stamp).copied());
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
        baselines: vec![baseline("absolute_pose (network alone)", network.collect())],
        hindsight: (!said.smoothed.is_empty()).then(|| baseline("smoothed (not causal)", smoothed.collect())),
        ..Evaluation::default()
    };
    let metrics = evaluation.write_all(folder, &fused)?;
    let nees = write_pictures(folder, &alone, &fused)?;
    let periods = fused.windows(2).map(|pair| pair[1].stamp.seconds_since(pair[0].stamp)).collect();
    let correlation_time = match config.use_estimator {
        true => true_correlation_time(config.estimator.correlation_time, periods, nees),
        false => None,
    };
    Ok(Measured { accuracy: Accuracy { metrics, correlation_time }, evaluation, alone, fused })
}

fn result(frame: &FrameInfo, said: Option<&StampedPose>) -> FrameResult {
    FrameResult {
        name: frame.name.clone(),
        stamp: frame.stamp,
        truth: frame.map_from_camera,
        estimate: said.map(|pose| AbsolutePose {
            stamp: pose.stamp,
            map_from_camera: pose.map_from_base,
            covariance: pose.covariance.matrix(),
        }),
    }
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
