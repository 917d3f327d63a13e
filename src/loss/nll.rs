//! Gaussian negative log-likelihood of the truth under the predicted pose and log-variances (Kendall & Gal 2017,
//! arXiv 1703.04977, eq. 8, in the tangent of SE(3)), without its constant:
//!
//! L = ½ Σᵢ ( eᵢ² e^(-λᵢ) + λᵢ ),  e = local(estimate, truth),  λ the six log-variances
//!
//! Its minimum over λ at fixed errors is λᵢ = log eᵢ²: the network learns how wrong it is.

use tch::{Kind, Tensor};

use super::tangent::local;
use crate::network::PoseTensor;

/// The loss for log-variances `b6`, mean over the batch. With `detach_error`, gradients reach the log-variances only:
/// the pose is then trained by another loss and cannot be traded for a larger variance.
pub fn nll_loss(estimate: &PoseTensor, log_variance_b6: &Tensor, truth: &PoseTensor, detach_error: bool) -> Tensor {
    let error = local(estimate, truth);
    let error = if detach_error { error.detach() } else { error };
    let terms = error.square() * (-log_variance_b6).exp() + log_variance_b6;
    terms.sum_dim_intlist([1i64].as_slice(), false, None::<Kind>).mean(None::<Kind>) * 0.5
}
