//! The depth at which a cell looks most as its partners see it.

/// The least mean cosine of features that show the same.
const LEAST_SCORE: f32 = 0.5;
/// By how much the best depth must be better than any that is not beside it: else the cell looks alike at several.
const LEAST_LEAD: f32 = 0.05;
/// Steps that are beside the best, of each ten.
const BESIDE: usize = 1;

/// The place of the maximum of scores over steps, between them by the parabola through its neighbours; `None` at the ends, and
/// for one that is low or not the only one.
pub(super) fn peak(scores: &[f32]) -> Option<f64> {
    let best = (0..scores.len()).max_by(|&one, &other| scores[one].total_cmp(&scores[other]))?;
    if best == 0 || best + 1 == scores.len() || scores[best] < LEAST_SCORE {
        return None;
    }
    let beside = scores.len() * BESIDE / 10;
    let far = scores.iter().enumerate().filter(|(step, _)| step.abs_diff(best) > beside);
    if far.map(|(_, score)| *score).fold(f32::MIN, f32::max) > scores[best] - LEAST_LEAD {
        return None;
    }
    let [before, at, after] = [best - 1, best, best + 1].map(|step| f64::from(scores[step]));
    let bend = before - 2.0 * at + after;
    let shift = if bend < -1e-9 { 0.5 * (before - after) / bend } else { 0.0 };
    Some(best as f64 + shift.clamp(-0.5, 0.5))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_only_high_maximum_is_found_between_steps() {
        let bump =
            |middle: f64, height: f64, step: usize| height * (1.0 - 0.02 * (step as f64 - middle).powi(2)).max(0.3);
        let scores =
            |middle: f64, height: f64| (0..40).map(|step| bump(middle, height, step) as f32).collect::<Vec<_>>();
        let found = peak(&scores(17.3, 0.9)).unwrap_or_default();
        assert!((found - 17.3).abs() < 1e-3, "{found}");
        assert_eq!(peak(&scores(17.3, 0.4)), None, "too low");
        assert_eq!(peak(&scores(-2.0, 0.9)), None, "beyond the first");
        let two: Vec<f32> =
            scores(10.0, 0.9).iter().zip(scores(30.0, 0.88)).map(|(one, other)| one.max(other)).collect();
        assert_eq!(peak(&two), None, "one of two");
        assert_eq!((peak(&[]), peak(&[0.9; 20])), (None, None));
    }
}
