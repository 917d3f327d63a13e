//! Video of the mapped place without labels, which a training learns from beside the labelled frames (MapNet+; Brahmbhatt
//! et al. 2018, arXiv 1712.03342, section 3.3).
//!
//! Its poses are an odometry's, of wheels or of vision, in metres of the odometry's own scale, in any frame, drifting as it
//! likes: only the motions between frames near in time reach a loss ([`VideoBatch`](super::VideoBatch)). Its images may be
//! of another camera; they are turned into that of the network's input.
//!
//! A video may hold the frames that the model is tested on, as the paper's does: no label of them is seen, but they are
//! no longer frames that the model never saw, and the card counts them. Validation frames may not be in it, for they stop
//! the training and fit the covariance.

use std::collections::HashSet;
use std::path::Path;

use super::config::{TrainingConfig, Unlabelled};
use super::fine_tune::check_camera;
use super::material::{Learner, Material};
use super::pairs::PairPlan;
use super::run::{frames_sha256, write_yaml};
use crate::config::load_yaml;
use crate::dataset::{Dataset, FrameInfo, Split};
use crate::network::VideoRecord;
use crate::progress::Progress;
use crate::sensor::CameraModel;
use crate::{Error, Result};

const VIDEO_FILE: &str = "unlabelled.yaml";

/// Frames whose poses are an odometry's.
#[derive(Clone)]
pub struct Video<'a> {
    /// Where they are from; [`FrameInfo::map_from_camera`] is `odometry_from_camera` here.
    pub dataset: &'a dyn Dataset,
    /// Which of its frames, in its order.
    pub frames: Vec<usize>,
}

impl<'a> Video<'a> {
    /// All frames of a dataset.
    pub fn of(dataset: &'a dyn Dataset) -> Self {
        Self { dataset, frames: (0..dataset.frames().len()).collect() }
    }

    /// What the card says of it, beside these labelled frames.
    fn record(&self, (labelled, split): (&dyn Dataset, &Split)) -> Result<VideoRecord> {
        let frames = self.dataset.frames();
        let used = || self.frames.iter().map(|&index| &frames[index]);
        if let Some(frame) = used().find(|frame| !frame.map_from_camera.is_finite()) {
            let found = format!("one of {} that is not", frame.name);
            return Err(Error::config("unlabelled", "poses that are finite", found));
        }
        let same_data = labelled.name() == self.dataset.name();
        let known: HashSet<_> = used().filter(|_| same_data).map(identity).collect();
        let seen = |indices: &[usize]| {
            indices.iter().filter(|&&index| known.contains(&identity(&labelled.frames()[index]))).count()
        };
        match seen(&split.validation) {
            0 => Ok(VideoRecord {
                dataset: self.dataset.name().to_owned(),
                dataset_sha256: frames_sha256(frames, &self.frames),
                frames: self.frames.len(),
                test_frames: seen(&split.test),
            }),
            count => {
                let found = format!("{count} of them; name other frames (--unlabelled-split, --unlabelled-part)");
                Err(Error::config("unlabelled", "a video without the validation frames", found))
            }
        }
    }
}

/// What tells a frame from the others of its dataset, whoever gave its pose.
fn identity(frame: &FrameInfo) -> (&str, i64) {
    (&frame.name, frame.stamp.as_nanos())
}

/// A video that was checked, and its pairs.
pub(super) struct Footage<'a> {
    video: &'a Video<'a>,
    pub(super) plan: PairPlan,
    pub(super) record: VideoRecord,
}

impl<'a> Footage<'a> {
    /// Checks whether a training with these settings and labelled frames can learn from the video, for the `camera` of the
    /// network's input.
    ///
    /// # Errors
    /// [`Error::Config`] for a video without settings or settings without a video, for validation frames in it, poses that
    /// are not finite, frames too few or too far apart, and a camera that sees too little.
    pub(super) fn check(
        video: Option<&'a Video<'a>>,
        (config, seed): (&TrainingConfig, u64),
        labelled: (&dyn Dataset, &Split),
        camera: &CameraModel,
        progress: &Progress,
    ) -> Result<Option<Self>> {
        let (video, Unlabelled { max_skip, .. }) = match (video, config.unlabelled) {
            (None, None) => return Ok(None),
            (Some(video), Some(settings)) => (video, settings),
            (None, Some(_)) => {
                let found = "none; give --unlabelled, or settings without unlabelled";
                return Err(Error::config("unlabelled", "a video of the place with an odometry's poses", found));
            }
            (Some(_), None) => {
                return Err(Error::config("unlabelled", "its settings in those of the training", "none"));
            }
        };
        let record = video.record(labelled)?;
        // Other pairs than those of the labelled frames with the same numbers.
        let plan = PairPlan::new(video.dataset.frames(), &video.frames, max_skip, !seed).map_err(|_| {
            let found = format!("none among the {} of {}", record.frames, record.dataset);
            Error::config("unlabelled", format!("frames at most {max_skip} apart in one recording"), found)
        })?;
        check_camera(video.dataset.camera(), camera, "leave this video out", progress)?;
        if record.test_frames > 0 {
            let count = record.test_frames;
            progress.note(&format!("{count} test frames are in the video: errors on them are not of unseen frames"));
        }
        Ok(Some(Self { video, plan, record }))
    }

    /// Notes in the model folder what the video is, or compares it with that of the run to be resumed.
    ///
    /// # Errors
    /// [`Error::Config`] for another video; [`Error::Io`].
    pub(super) fn note(&self, out: &Path, resume: bool) -> Result<()> {
        let path = out.join(VIDEO_FILE);
        if !resume {
            return write_yaml(&path, &self.record);
        }
        match load_yaml::<VideoRecord>(&path)? == self.record {
            true => Ok(()),
            false => {
                let found = format!("other frames or poses than {} names", path.display());
                Err(Error::config("unlabelled", "the video the run began with", found))
            }
        }
    }

    /// Its frames as tensors.
    ///
    /// # Errors
    /// Those of [`Material::prepare`].
    pub(super) fn material(
        &self,
        camera: CameraModel,
        learner: Learner,
        (config, seed): (&TrainingConfig, u64),
        progress: Progress,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<Material> {
        // Views from places nearby need depth, which a video has not.
        let config = TrainingConfig { synthetic_views: None, ..config.clone() };
        let split = Split { train: self.video.frames.clone(), ..Split::default() };
        Material::prepare((self.video.dataset, &split), camera, learner, (&config, seed), progress, keep_going)
    }
}
