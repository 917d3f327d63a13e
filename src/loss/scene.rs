//! Which of several scenes an image shows (MS-Transformer: Shavit, Ferens & Keller 2021, arXiv 2103.11468).

use tch::Tensor;

/// The cross entropy of the true scenes: the mean of -log p(scene) over the rows, from the logarithms of the probabilities
/// `bs` and the numbers of the scenes `b`.
pub fn scene_cross_entropy(log_probability_bs: &Tensor, scenes_b: &Tensor) -> Tensor {
    -log_probability_bs.gather(1, &scenes_b.unsqueeze(1), false).mean(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_mean_surprise_of_the_truth() {
        let probability = Tensor::from_slice(&[0.5f32, 0.25, 0.25, 0.125, 0.75, 0.125]).view([2, 3]);
        let loss = scene_cross_entropy(&probability.log(), &Tensor::from_slice(&[0i64, 2]));
        assert!((loss.double_value(&[]) - (2f64.ln() + 8f64.ln()) / 2.0).abs() < 1e-6);
    }
}
