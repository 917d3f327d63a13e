//! The loss of the semantic stream: the cross-entropy of the classes of pixels (VLocNet++, arXiv 1804.08366, section
//! III-C),
//!
//! L = mean over labelled pixels of -log softmax(logits)[label]
//!
//! joined with the pose loss by a learned weight, L e^(-s) + s, as the paper does for each of its tasks.

use tch::{Kind, Reduction, Tensor};

/// The label of a pixel that has none: outside of the image that was labelled.
pub const UNLABELLED: u8 = 255;

/// The loss of logits `bkhw` against labels `bhw`, integers below k or [`UNLABELLED`]; 0 where no pixel has a label.
pub fn segmentation_loss(logits_bkhw: &Tensor, labels_bhw: &Tensor) -> Tensor {
    let ignored = i64::from(UNLABELLED);
    let labels_bhw = labels_bhw.to_kind(Kind::Int64);
    let labelled = labels_bhw.not_equal(ignored).sum(Kind::Float).clamp_min(1.0);
    let sum =
        logits_bkhw.to_kind(Kind::Float).cross_entropy_loss::<Tensor>(&labels_bhw, None, Reduction::Sum, ignored, 0.0);
    sum / labelled
}
