//! How well the semantic stream tells what pixels show, on frames that it does not train on: pixel accuracy, and the mean over
//! classes of intersection over union (Everingham et al. 2010, section 4.3), as VLocNet++ reports it.

use tch::{Kind, Tensor};

use super::scene_labels::SceneLabels;
use crate::Result;
use crate::loss::UNLABELLED;
use crate::network::{PoseNetwork, SegmentationRecord, SemanticsConfig};

/// Frames per forward pass.
const CHUNK: usize = 16;

/// Counts of labelled pixels, `[truth, prediction]`, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Confusion {
    classes: usize,
    counts: Vec<i64>,
}

impl Confusion {
    pub(super) fn new(classes: usize) -> Self {
        Self { classes, counts: vec![0; classes * classes] }
    }

    /// Counts predicted classes against labels below the number of classes or [`UNLABELLED`], both `bhw`.
    pub(super) fn add(&mut self, predicted_bhw: &Tensor, labels_bhw: &Tensor) {
        let labels = labels_bhw.to_kind(Kind::Int64).flatten(0, -1);
        let labelled = labels.not_equal(i64::from(UNLABELLED));
        let both = labels * self.classes as i64 + predicted_bhw.to_kind(Kind::Int64).flatten(0, -1);
        let counts = both.masked_select(&labelled).bincount::<Tensor>(None, self.counts.len() as i64);
        for (cell, count) in self.counts.iter_mut().enumerate() {
            *count += counts.int64_value(&[cell as i64]);
        }
    }

    /// The scores; of the classes, those count that are there or were predicted. `None` without a labelled pixel.
    pub(super) fn scores(&self) -> Option<SegmentationRecord> {
        let cell = |truth: usize, predicted: usize| self.counts[truth * self.classes + predicted];
        let total: i64 = self.counts.iter().sum();
        let right: i64 = (0..self.classes).map(|class| cell(class, class)).sum();
        let overlap = |class: usize| {
            let there: i64 = (0..self.classes).map(|other| cell(class, other)).sum();
            let predicted: i64 = (0..self.classes).map(|other| cell(other, class)).sum();
            let union = there + predicted - cell(class, class);
            (union > 0).then(|| cell(class, class) as f64 / union as f64)
        };
        let overlaps: Vec<f64> = (0..self.classes).filter_map(overlap).collect();
        (total > 0).then(|| SegmentationRecord {
            pixel_accuracy: right as f64 / total as f64,
            mean_iou: overlaps.iter().sum::<f64>() / overlaps.len() as f64,
        })
    }
}

/// The scores of a network over `frames`, with `input` giving what the network sees of rows `start..end` of them; `None` for
/// one without classes, and without a labelled pixel.
///
/// # Errors
/// What `input` says.
pub(super) fn segmentation(
    network: &PoseNetwork,
    semantics: &SemanticsConfig,
    labels: &SceneLabels,
    frames: &[usize],
    input: &dyn Fn(std::ops::Range<usize>) -> Result<Tensor>,
) -> Result<Option<SegmentationRecord>> {
    let mut confusion = Confusion::new(semantics.classes.len());
    for start in (0..frames.len()).step_by(CHUNK) {
        let rows = start..(start + CHUNK).min(frames.len());
        let (input, labels) = (input(rows.clone())?, labels.plain(&frames[rows]));
        let size = [labels.size()[1], labels.size()[2]];
        let logits = tch::no_grad(|| network.segmentation(&network.shared(&input, false), size));
        let Some(logits) = logits else { return Ok(None) };
        confusion.add(&logits.argmax(1, false).to_device(labels.device()), &labels);
    }
    Ok(confusion.scores())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_of_a_case_by_hand() {
        let map = |labels: [u8; 8]| Tensor::from_slice(&labels).view([1, 2, 4]);
        let mut confusion = Confusion::new(4);
        assert_eq!(confusion.scores(), None);
        // Class 0: 2 of 3 found, one more taken for it: 2 / 4. Class 1: 2 of 3, nothing more: 2 / 3. Class 2 was never there
        // but is predicted once: 0. Class 3: nowhere.
        confusion.add(&map([0, 0, 2, 1, 1, 0, 3, 3]), &map([0, 0, 0, 1, 1, 1, UNLABELLED, UNLABELLED]));
        let scores = confusion.scores().unwrap();
        assert!((scores.pixel_accuracy - 4.0 / 6.0).abs() < 1e-12);
        assert!((scores.mean_iou - (2.0 / 4.0 + 2.0 / 3.0 + 0.0) / 3.0).abs() < 1e-12, "{scores:?}");
    }
}
