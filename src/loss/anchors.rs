//! AnchorNet's loss of the position (Saha, Varma & Jawahar 2018, section 3): the squared error that is to be expected
//! when an anchor is drawn by its probability, and the cross entropy of the anchor that is nearest to the truth,
//!
//! L_x = Σᵢ pᵢ |aᵢ + oᵢ - x|²,  L_c = -log p_nearest,  p = softmax(logits)
//!
//! so each offset learns from the frames that its anchor is likely for, and the classes learn which offsets are good.

use tch::{Kind, Tensor};

use crate::network::Anchored;

/// L_x for true positions `b3`, mean over the batch; normalized units, squared.
pub fn expected_squared_offset(anchored: &Anchored, truth_b3: &Tensor) -> Tensor {
    let errors_bn3 = &anchored.positions_bn3 - truth_b3.unsqueeze(1);
    let squared_bn = errors_bn3.square().sum_dim_intlist([2i64].as_slice(), false, None::<Kind>);
    let probabilities_bn = anchored.logits_bn.softmax(1, Kind::Float);
    (probabilities_bn * squared_bn).sum_dim_intlist([1i64].as_slice(), false, None::<Kind>).mean(None::<Kind>)
}

/// L_c for true positions `b3`, mean over the batch.
pub fn nearest_anchor_cross_entropy(anchored: &Anchored, truth_b3: &Tensor) -> Tensor {
    let between_bn3 = anchored.anchors_n3.unsqueeze(0) - truth_b3.unsqueeze(1);
    let squared_bn = between_bn3.square().sum_dim_intlist([2i64].as_slice(), false, None::<Kind>);
    anchored.logits_bn.cross_entropy_for_logits(&squared_bn.argmin(1, false))
}
