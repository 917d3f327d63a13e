//! AnchorNet's position (Saha, Varma & Jawahar, "Improved Visual Relocalization by Discovering Anchor Points", BMVC 2018):
//! which of some fixed points of the map the camera is near, and how far it is from that one.
//!
//! A classification over the anchors, and an offset from each: position = anchor of the largest logit + its offset. Three
//! choices that differ from the paper or that it leaves open:
//! - all three coordinates are offsets; the paper has them in the ground plane and regresses the height, but a hand-held
//!   camera moves in three dimensions, and the map's axes need not know where the ground is;
//! - anchors are positions of training frames, evenly spread over their order: every n-th frame, as in the paper;
//! - they are kept with the weights (`global.anchors`, normalized units) and never learn.
//!
//! The predicted log-variances are of the position that is chosen; samples of the dropout may choose another anchor, so
//! doubt between two places is in the covariance.

use tch::nn::{self, Path};
use tch::{Kind, Tensor};

/// What a network says of anchors: where each would put the camera, and how likely each is.
#[derive(Debug)]
pub struct Anchored {
    /// The anchors, normalized, `n3`.
    pub anchors_n3: Tensor,
    /// Logits of the classes, `bn`.
    pub logits_bn: Tensor,
    /// Anchor plus offset, normalized, `bn3`.
    pub positions_bn3: Tensor,
}

impl Anchored {
    /// The position by the most likely anchor, `b3`. Gradients reach its offset.
    pub fn position_b3(&self) -> Tensor {
        let best_b = self.logits_bn.argmax(1, false);
        let index = best_b.view([-1, 1, 1]).expand([-1, 1, 3], false);
        self.positions_bn3.gather(1, &index, false).squeeze_dim(1)
    }
}

/// The layers in front of it.
#[derive(Debug)]
pub(super) struct AnchorHead {
    anchors_n3: Tensor,
    fc_anchor: nn::Linear,
    fc_offset: nn::Linear,
}

impl AnchorHead {
    /// For vectors of `inputs` numbers; anchors lie at zero until they are placed. `head` makes a layer by its name and
    /// its number of outputs.
    pub(super) fn new(path: &Path, count: usize, head: &dyn Fn(&str, i64) -> nn::Linear) -> Self {
        let count = count as i64;
        Self {
            anchors_n3: path.zeros_no_train("anchors", &[count, 3]),
            fc_anchor: head("fc_anchor", count),
            fc_offset: head("fc_offset", 3 * count),
        }
    }

    /// Puts the anchors to these normalized positions, `n3`.
    pub(super) fn place(&self, positions_n3: &Tensor) {
        tch::no_grad(|| self.anchors_n3.shallow_clone().copy_(positions_n3));
    }

    /// What it says of hidden units `bh`.
    pub(super) fn forward(&self, hidden_bh: &Tensor) -> Anchored {
        let offsets = hidden_bh.apply(&self.fc_offset).view([-1, self.anchors_n3.size()[0], 3]);
        Anchored {
            anchors_n3: self.anchors_n3.shallow_clone(),
            logits_bn: hidden_bh.apply(&self.fc_anchor),
            positions_bn3: offsets.to_kind(Kind::Float) + &self.anchors_n3,
        }
    }
}
