//! The parts of a report that need images and the network: the worst frames, what the network looks at, and what it
//! finds alike.

use crate::dataset::{Dataset, Split};
use crate::evaluation::report::{
    Embedded, Exhibit, FrameSet, Heat, SaliencyExhibit, Section, embedding, order_by_error, saliency, worst,
    worst_frames,
};
use crate::evaluation::{FrameResult, PoseError};
use crate::geometry::Se3;
use crate::network::PoseRegressor;
use crate::progress::Progress;
use crate::retrieval::nearest;
use crate::vision::Preprocessor;
use crate::{Error, Result};

/// How many of the worst answers are shown.
const WORST: usize = 10;
/// Most frames of a set whose vectors are drawn, evenly over the recording.
const MOST_EMBEDDED: usize = 400;

/// A data set as a model sees it.
pub(super) struct Viewer<'a> {
    pub dataset: &'a dyn Dataset,
    pub split: &'a Split,
    pub regressor: &'a PoseRegressor,
    pub preprocessor: &'a Preprocessor,
}

impl Viewer<'_> {
    /// The sections; those without anything to show are left out. `results` are those of the split's test frames.
    ///
    /// # Errors
    /// An image that cannot be read, or a failure of libtorch; without gradients the report says so instead.
    pub fn sections(&self, results: &[FrameResult]) -> Result<Vec<Section>> {
        let ordered = order_by_error(results);
        let mut sections = Vec::new();
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
        let shown = thinned(&self.split.train).len() + thinned(&self.split.test).len();
        if shown >= 3 {
            sections.push(self.embedding(shown)?);
        }
        Ok(sections)
    }

    fn worst(&self, results: &[FrameResult]) -> Result<Section> {
        let frames = self.dataset.frames();
        let training: Vec<Se3> = self.split.train.iter().map(|index| frames[*index].map_from_camera).collect();
        let exhibit = |place: usize| {
            let result = &results[place];
            let nearest = nearest(&training, result.truth).map(|found| {
                let index = self.split.train[found];
                let distance = PoseError::of(result.truth, Some(training[found]));
                self.dataset.image(index).map(|image| (frames[index].name.clone(), image, distance))
            });
            Ok(Exhibit {
                name: result.name.clone(),
                error: result.error(),
                query: self.dataset.image(self.split.test[place])?,
                nearest: nearest.transpose()?,
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
        let training = thinned(&self.split.train).into_iter().map(|index| (FrameSet::Training, index));
        let test = thinned(&self.split.test).into_iter().map(|index| (FrameSet::Test, index));
        embedding(&training.chain(test).map(embedded).collect::<Result<Vec<_>>>()?)
    }

    fn pixels(&self, index: usize) -> Result<image::RgbImage> {
        self.preprocessor.apply(&self.dataset.image(index)?)
    }
}

/// At most [`MOST_EMBEDDED`] of the frames, evenly.
fn thinned(frames: &[usize]) -> Vec<usize> {
    frames.iter().step_by(frames.len().div_ceil(MOST_EMBEDDED).max(1)).copied().collect()
}
