//! The learning rate over the steps: a linear warm-up, then half a cosine to zero (Loshchilov & Hutter 2017,
//! arXiv 1608.03983, eq. 5). Once for a model; for an ensemble of snapshots once per snapshot, from the full rate again,
//! so that each ends in a minimum of its own (Huang et al. 2017, arXiv 1704.00109, eq. 2).

use std::ops::Range;

/// The epochs of the cycle that `epoch` (from 0) is in, when `epochs` are divided into `cycles` as equal as can be.
pub fn cycle(epoch: usize, epochs: usize, cycles: usize) -> Range<usize> {
    let cycles = cycles.max(1);
    let start = |index: usize| (index * epochs).div_ceil(cycles);
    let index = epoch * cycles / epochs.max(1);
    start(index)..start(index + 1)
}

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

    #[test]
    fn cycles_follow_each_other_and_fill_the_epochs() {
        for (epochs, cycles) in [(10, 1), (10, 3), (7, 7), (160, 5), (5, 2)] {
            let mut ends = Vec::new();
            for epoch in 0..epochs {
                let own = cycle(epoch, epochs, cycles);
                assert!(own.contains(&epoch), "{epoch} of {epochs} in {cycles}: {own:?}");
                assert!((epochs / cycles..=epochs / cycles + 1).contains(&own.len()), "{own:?}");
                ends.push(own.end);
            }
            ends.dedup();
            assert_eq!((ends.len(), ends.last()), (cycles, Some(&epochs)));
        }
    }
}
