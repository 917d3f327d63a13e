//! VLocNet++'s semantic stream (Radwan, Valada & Burgard 2018, arXiv 1804.08366, sections III-A and III-C): what each pixel
//! shows, as an auxiliary task, and its features as a second opinion for where the camera is.
//!
//! ```text
//! last shared map ── 1x1, 3x3 ── semantic features ── adaptive weighted fusion ── global stream
//!                                       │
//! shared map before ── 1x1 ── + (twice the size) ── 3x3 ── 1x1 ── classes of the pixels
//! ```
//!
//! The paper's stream is a network of its own, AdapNet++ on a ResNet-50, which shares the first stages with the others.
//! Here it is a small decoder on the shared stages: what it adds to the time of a frame are two convolutions, since
//! the lower line is for training and for looking at it. Where the paper fuses previous features and semantic ones in
//! one block, they come one after the other here.

use tch::Tensor;
use tch::nn::{self, Path};

use super::adaptive_fusion::{AdaptiveFusion, Start};
use super::config::{Activation, SemanticsConfig};

/// The stream and its fusion into the global one.
#[derive(Debug)]
pub(super) struct SemanticStream {
    reduce: nn::Conv2D,
    context: nn::Conv2D,
    skip: Option<nn::Conv2D>,
    refine: nn::Conv2D,
    /// Missing before the classes are known.
    classify: Option<nn::Conv2D>,
    fusion: AdaptiveFusion,
    cells: [i64; 2],
    activation: Activation,
}

impl SemanticStream {
    /// For shared maps with these channels, fused into maps of size `joint_chw`.
    pub(super) fn new(
        path: &Path,
        config: &SemanticsConfig,
        shared_channels: &[i64],
        joint_chw: [i64; 3],
        activation: Activation,
    ) -> Self {
        let width = config.channels;
        let conv = |name: &str, from: i64, to: i64, side: i64| {
            nn::conv2d(path / name, from, to, side, nn::ConvConfig { padding: side / 2, ..Default::default() })
        };
        let (last, before) = (shared_channels.last().copied(), shared_channels.iter().rev().nth(1));
        let classes = config.classes.len() as i64;
        Self {
            reduce: conv("reduce", last.unwrap_or(width), width, 1),
            context: conv("context", width, width, 3),
            skip: before.map(|&channels| conv("skip", channels, width, 1)),
            refine: conv("refine", width, width, 3),
            classify: (classes > 0).then(|| conv("classify", width, classes, 1)),
            fusion: AdaptiveFusion::new(
                &(path / "fusion"),
                ["localization", "semantic"],
                joint_chw,
                width,
                Start::First,
            ),
            cells: [joint_chw[1], joint_chw[2]],
            activation,
        }
    }

    /// The semantic features of the shared maps, at the size of the last, `bchw`.
    fn features(&self, shared: &[Tensor]) -> Tensor {
        let reduced = self.activation.apply(&shared[shared.len() - 1].apply(&self.reduce));
        self.activation.apply(&reduced.apply(&self.context))
    }

    /// The map of the global stream with the semantic features of the same frames.
    pub(super) fn fuse(&self, map_bchw: &Tensor, shared: &[Tensor]) -> Tensor {
        self.fusion.forward(map_bchw, &self.features(shared).adaptive_avg_pool2d(self.cells))
    }

    /// Logits of the classes `bkhw` for pixels of an image of `size` (rows, columns); `None` before the classes are known.
    pub(super) fn logits(&self, shared: &[Tensor], size: [i64; 2]) -> Option<Tensor> {
        let classify = self.classify.as_ref()?;
        let features = self.features(shared);
        let larger = match (&self.skip, shared) {
            (Some(skip), [.., before, _]) => {
                let cells = before.size();
                resized(&features, [cells[2], cells[3]]) + before.apply(skip)
            }
            _ => features,
        };
        Some(resized(&self.activation.apply(&larger.apply(&self.refine)).apply(classify), size))
    }
}

fn resized(map_bchw: &Tensor, size: [i64; 2]) -> Tensor {
    map_bchw.upsample_bilinear2d(size, false, None, None)
}
