//! The parts of a report that need images and the network: the points that poses stand on, the worst frames, what the
//! network looks at, and what it finds alike.

use image::RgbImage;
use nalgebra::Vector3;

use crate::dataset::{Dataset, Split};
use crate::evaluation::report::{
    Beliefs, CloudPoint, Embedded, Exhibit, FrameSet, Heat, SaliencyExhibit, Section, Unanswered, embedding,
    order_by_error, points, saliency, worst, worst_frames,
};
use crate::evaluation::{Evaluation, FrameResult, PoseError};
use crate::geometry::Se3;
use crate::network::PoseRegressor;
use crate::pnp::Correspondence;
use crate::progress::Progress;
use crate::retrieval::nearest;
use crate::vision::Preprocessor;
use crate::{Error, Result};

/// How many of the worst answers are shown.
const WORST: usize = 10;
/// Most frames of a set whose vectors are drawn, evenly over the recording.
const MOST_EMBEDDED: usize = 400;
/// How many of the frames without an answer are shown, evenly chosen.
const UNANSWERED: usize = 10;
/// Training images whose cells are asked for the cloud of points, evenly chosen, and most points of all of them.
const CLOUD_IMAGES: usize = 40;
const MOST_POINTS: usize = 60_000;
/// A frame and a reference frame of poses nearer than this, metres plus radians, are one: half the digits of a single are kept.
const SAME_POSE: f64 = 1e-4;

/// A data set as a model sees it.
pub(super) struct Viewer<'a> {
    pub dataset: &'a dyn Dataset,
    pub split: &'a Split,
    pub regressor: &'a PoseRegressor,
    pub preprocessor: &'a Preprocessor,
}

/// A training image: its name, itself, and how far it was taken from another.
type Neighbour = (String, RgbImage, PoseError);

impl Viewer<'_> {
    /// The sections; those without anything to show are left out. `results` are those of the split's test frames, `reasons` why
    /// there is no answer, where there is none.
    ///
    /// # Errors
    /// An image that cannot be read, or a failure of libtorch; without gradients the report says so instead.
    pub fn sections(
        &self,
        evaluation: &Evaluation,
        results: &[FrameResult],
        reasons: &[Option<String>],
    ) -> Result<Vec<Section>> {
        let ordered = order_by_error(results);
        let mut sections = Vec::new();
        if !evaluation.evidence.is_empty() {
            sections.push(points(evaluation, results, &self.beliefs(results, reasons)?)?);
        }
        if !ordered.is_empty() {
            sections.push(self.worst(results)?);
            sections.push(match self.saliency(results, &ordered) {
                // A network may have no gradient on this device, as recurrent ones on some GPUs: the rest stands.
                Err(Error::Compute { what, reason }) => {
                    tracing::warn!("the report shows no saliency: {what}: {reason}");
                    Section::new("What the network looks at").with(format!("Not known: {what}: {reason}"))
                }
                section => section?,
            });
        }
        let shown = [&self.split.train, &self.split.test].map(|set| thinned(set, MOST_EMBEDDED).len()).iter().sum();
        if shown >= 3 {
            sections.push(self.embedding(shown)?);
        }
        Ok(sections)
    }

    /// What a model of points says of some training images, and where it says nothing.
    fn beliefs(&self, results: &[FrameResult], reasons: &[Option<String>]) -> Result<Beliefs> {
        let images = self.believed();
        let steps = Progress::automatic().steps("points of the map", images.len() as u64);
        let mut cloud = Vec::new();
        for &index in &images {
            let pixels = self.pixels(index)?;
            let points = self.points(index, &pixels)?;
            let every = (images.len() * points.len()).div_ceil(MOST_POINTS).max(1);
            let (width, height) = pixels.dimensions();
            cloud.extend(points.iter().step_by(every).map(|correspondence| {
                let at = |value: f64, size: u32| (value.round().max(0.0) as u32).min(size - 1);
                let (column, row) = (at(correspondence.pixel.x, width), at(correspondence.pixel.y, height));
                CloudPoint { position: correspondence.point, colour: pixels.get_pixel(column, row).0 }
            }));
            steps.advance(1);
        }
        let silent: Vec<usize> = (0..results.len()).filter(|place| results[*place].estimate.is_none()).collect();
        let unanswered = |place: usize| {
            Ok(Unanswered {
                name: results[place].name.clone(),
                reason: reasons[place].clone().unwrap_or_else(|| "no reason is known".to_owned()),
                query: self.dataset.image(self.split.test[place])?,
                nearest: self.nearest(results[place].truth)?,
            })
        };
        let unanswered = thinned(&silent, UNANSWERED).into_iter().map(unanswered).collect::<Result<_>>()?;
        Ok(Beliefs { cloud, images: images.len(), unanswered })
    }

    /// The points of the reference frame that a training image became, in its camera, and the pose of that; `None` where it became none.
    fn reference(&self, index: usize) -> Option<(Se3, &[Vector3<f64>])> {
        let map_from_camera = self.dataset.frames()[index].map_from_camera;
        self.regressor.reference_points().find(|(pose, _)| pose.local(map_from_camera).norm() < SAME_POSE)
    }

    /// The training images whose points are known, thinned.
    fn believed(&self) -> Vec<usize> {
        let train = &self.split.train;
        if self.regressor.card().network.scene_coordinates().is_some() {
            return thinned(train, CLOUD_IMAGES);
        }
        let references: Vec<usize> = train.iter().filter(|index| self.reference(**index).is_some()).copied().collect();
        thinned(&references, CLOUD_IMAGES)
    }

    /// The points behind pixels of a training image, as the model says, or of the reference frame that it became.
    fn points(&self, index: usize, pixels: &RgbImage) -> Result<Vec<Correspondence>> {
        if let Some(points) = self.regressor.points(pixels)? {
            return Ok(points);
        }
        let Some((map_from_camera, points)) = self.reference(index) else { return Ok(Vec::new()) };
        let camera = &self.regressor.card().camera;
        let seen =
            |at: &Vector3<f64>| Some(Correspondence { pixel: camera.project(at)?, point: map_from_camera * *at });
        Ok(points.iter().filter_map(seen).collect())
    }

    /// The training image that was taken nearest to a pose.
    fn nearest(&self, truth: Se3) -> Result<Option<Neighbour>> {
        let frames = self.dataset.frames();
        let training: Vec<Se3> = self.split.train.iter().map(|index| frames[*index].map_from_camera).collect();
        let neighbour = |found: usize| {
            let index = self.split.train[found];
            let distance = PoseError::of(truth, Some(training[found]));
            self.dataset.image(index).map(|image| (frames[index].name.clone(), image, distance))
        };
        nearest(&training, truth).map(neighbour).transpose()
    }

    fn worst(&self, results: &[FrameResult]) -> Result<Section> {
        let exhibit = |place: usize| {
            let result = &results[place];
            Ok(Exhibit {
                name: result.name.clone(),
                error: result.error(),
                query: self.dataset.image(self.split.test[place])?,
                nearest: self.nearest(result.truth)?,
            })
        };
        worst_frames(&worst(results, WORST).into_iter().map(exhibit).collect::<Result<Vec<_>>>()?)
    }

    /// The best, the median and the worst answer; `ordered` is not empty.
    fn saliency(&self, results: &[FrameResult], ordered: &[usize]) -> Result<Section> {
        let last = ordered.len() - 1;
        let mut chosen = vec![(0, "the best answer"), (last / 2, "the median answer"), (last, "the worst answer")];
        chosen.dedup_by_key(|(rank, _)| *rank);
        let exhibit = |(rank, reason): (usize, &str)| {
            let (place, pixels) = (ordered[rank], self.pixels(self.split.test[ordered[rank]])?);
            let map = self.regressor.saliency(&pixels)?;
            let heat = |values| Heat { width: map.width, height: map.height, values };
            Ok(SaliencyExhibit {
                name: results[place].name.clone(),
                reason: reason.to_owned(),
                error: results[place].error(),
                pixels,
                translation: heat(map.translation),
                rotation: heat(map.rotation),
            })
        };
        saliency(&chosen.into_iter().map(exhibit).collect::<Result<Vec<_>>>()?)
    }

    fn embedding(&self, shown: usize) -> Result<Section> {
        let steps = Progress::automatic().steps("embedding", shown as u64);
        let all = self.dataset.frames();
        let progress = |index: usize| {
            let sequence = all[index].sequence;
            let first = all.partition_point(|frame| frame.sequence < sequence);
            let last = all.partition_point(|frame| frame.sequence <= sequence) - 1;
            (index - first) as f64 / (last - first).max(1) as f64
        };
        let embedded = |(set, index): (FrameSet, usize)| {
            steps.advance(1);
            Ok(Embedded {
                name: all[index].name.clone(),
                set,
                progress: progress(index),
                vector: self.regressor.embedding(&self.pixels(index)?)?,
            })
        };
        let training = thinned(&self.split.train, MOST_EMBEDDED).into_iter().map(|index| (FrameSet::Training, index));
        let test = thinned(&self.split.test, MOST_EMBEDDED).into_iter().map(|index| (FrameSet::Test, index));
        embedding(&training.chain(test).map(embedded).collect::<Result<Vec<_>>>()?)
    }

    fn pixels(&self, index: usize) -> Result<RgbImage> {
        self.preprocessor.apply(&self.dataset.image(index)?)
    }
}

/// At most `most` of the frames, evenly.
fn thinned(frames: &[usize], most: usize) -> Vec<usize> {
    frames.iter().step_by(frames.len().div_ceil(most).max(1)).copied().collect()
}
