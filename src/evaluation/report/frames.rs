//! Which frames are worth a look.

use crate::evaluation::FrameResult;

/// The answered frames from the most right to the most wrong answer, by metres plus radians.
pub fn order_by_error(results: &[FrameResult]) -> Vec<usize> {
    let size = |index: &usize| {
        let error = results[*index].error();
        error.translation + error.rotation
    };
    let mut answered: Vec<usize> = (0..results.len()).filter(|index| results[*index].estimate.is_some()).collect();
    answered.sort_by(|one, other| size(one).total_cmp(&size(other)));
    answered
}

/// The answered frames that are furthest off, the worst first; at most `count`.
pub fn worst(results: &[FrameResult], count: usize) -> Vec<usize> {
    order_by_error(results).into_iter().rev().take(count).collect()
}
