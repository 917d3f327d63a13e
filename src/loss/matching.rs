//! The loss of matching: a part of one view should be more alike to the part of another view that shows the same point than to all
//! that show another. InfoNCE (van den Oord et al. 2018, arXiv 1807.03748, eq. 4) over the cells of two views, both ways:
//!
//! L = -log exp(s_ij / T) / Σ_k exp(s_ik / T)
//!
//! with s the cosine of two descriptors, j the cell of the other view whose point lies nearest to that of i, and k all cells but
//! those that lie near without being the nearest: whether these are alike is nobody's fault. Cells whose point no cell of the other
//! view shows are left out.

use tch::{Kind, Tensor};

/// Points closer than this are one point, metres.
pub const SAME_POINT: f64 = 0.08;
/// Points farther than this are different ones, metres.
const FAR: f64 = 0.25;
/// The temperature T.
const TEMPERATURE: f64 = 0.1;

/// The mean over all cells that have a partner, of descriptors `rnc` of one view of each of `r` places and of another view, and of
/// the points `rn3` in metres that their cells show. Zero where no cell has a partner.
pub fn matching_loss(one: (&Tensor, &Tensor), other: (&Tensor, &Tensor)) -> Tensor {
    let unit = |descriptors: &Tensor| {
        let length = descriptors.square().sum_dim_intlist([2i64].as_slice(), true, Kind::Float).sqrt();
        descriptors / (length + 1e-6)
    };
    let likeness_rnm = unit(one.0).matmul(&unit(other.0).transpose(1, 2)) / TEMPERATURE;
    let distance_rnm = distances(one.1, other.1);
    let there = one_way(&likeness_rnm, &distance_rnm);
    let back = one_way(&likeness_rnm.transpose(1, 2), &distance_rnm.transpose(1, 2));
    (there + back) * 0.5
}

fn distances(one_rn3: &Tensor, other_rm3: &Tensor) -> Tensor {
    let difference = one_rn3.unsqueeze(2) - other_rm3.unsqueeze(1);
    difference.square().sum_dim_intlist([3i64].as_slice(), false, Kind::Float).sqrt()
}

fn one_way(likeness_rnm: &Tensor, distance_rnm: &Tensor) -> Tensor {
    let (nearest_rn1, partner_rn1) = distance_rnm.min_dim(2, true);
    let matched_rn = nearest_rn1.lt(SAME_POINT).squeeze_dim(2).to_kind(Kind::Float);
    let is_partner = distance_rnm.zeros_like().scatter_value(2, &partner_rn1, 1.0).to_kind(Kind::Bool);
    let unclear = distance_rnm.lt(FAR).logical_and(&is_partner.logical_not());
    let log_probability = likeness_rnm.masked_fill(&unclear, -1e4).log_softmax(2, Kind::Float);
    let losses_rn = -log_probability.gather(2, &partner_rn1, false).squeeze_dim(2);
    (losses_rn * &matched_rn).sum(Kind::Float) / matched_rn.sum(Kind::Float).clamp_min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows<const N: usize>(rows: &[[f32; N]]) -> Tensor {
        Tensor::from_slice(&rows.concat()).view([1, rows.len() as i64, N as i64])
    }

    #[test]
    fn a_cell_is_compared_with_its_partner_and_what_is_far() {
        // The first cell's partner is the other's second; its first is near, and not compared; its third is far.
        let points = rows(&[[0.0, 0.0, 0.0], [9.0, 0.0, 0.0]]);
        let others = rows(&[[0.1, 0.0, 0.0], [0.01, 0.0, 0.0], [5.0, 0.0, 0.0]]);
        let descriptors = rows(&[[2.0, 0.0], [0.0, 1.0]]);
        let alike = rows(&[[1.0, 0.0], [0.6, 0.8], [0.0, 3.0]]);
        // There: cosines 0.6 with the partner and 0 with the far one. Back: the first and the second have the first cell
        // within reach (0.1 m is no match, 0.01 m is one), with cosine 0.6 against 0.8 with the cell at 9 m.
        let there = -(0.6f64 / TEMPERATURE).exp().ln() + ((0.6f64 / TEMPERATURE).exp() + 1.0).ln();
        let back = -0.6 / TEMPERATURE + ((0.6f64 / TEMPERATURE).exp() + (0.8f64 / TEMPERATURE).exp()).ln();
        let loss = matching_loss((&descriptors, &points), (&alike, &others)).double_value(&[]);
        assert!((loss - 0.5 * (there + back)).abs() < 1e-4, "{loss}, expected {}", 0.5 * (there + back));
    }

    #[test]
    fn views_without_a_common_point_have_no_loss() {
        let (points, others) = (rows(&[[0.0, 0.0, 0.0]]), rows(&[[1.0, 0.0, 0.0]]));
        let descriptors = rows(&[[1.0, 0.0]]).set_requires_grad(true);
        let loss = matching_loss((&descriptors, &points), (&descriptors, &others));
        assert_eq!(loss.double_value(&[]), 0.0);
        let gradient = Tensor::run_backward(&[loss], &[&descriptors], false, false).remove(0);
        assert_eq!(gradient.abs().max().double_value(&[]), 0.0);
    }
}
