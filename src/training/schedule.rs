//! The learning rate over the steps: a linear warm-up, then half a cosine to zero (Loshchilov & Hutter 2017,
//! arXiv 1608.03983, eq. 5, without restarts).

/// The rate of step `step` of `steps`, as a fraction of the full one: in (0, 1].
pub fn learning_rate(step: u64, steps: u64, warmup_steps: u64) -> f64 {
    let warmup = ((step + 1) as f64 / warmup_steps.max(1) as f64).min(1.0);
    let progress = (step as f64 / steps.max(1) as f64).min(1.0);
    warmup * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rises_then_falls() {
        assert_eq!(learning_rate(0, 100, 10), 0.1);
        assert!((learning_rate(50, 100, 10) - 0.5).abs() < 1e-12);
        assert!(learning_rate(99, 100, 10) < 3e-4);
        assert_eq!(learning_rate(0, 100, 0), 1.0);
    }
}
