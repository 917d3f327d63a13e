//! Levenberg-Marquardt at one level (Marquardt 1963).

use super::equations::{Equations, Level, Scene};
use crate::geometry::{Se3, Vector6};

/// Steps of a level, repeated ones included.
const MAX_STEPS: usize = 30;
/// Where the damping of a level begins, and how it changes with a step that lowers the cost or does not.
const FIRST_DAMPING: f64 = 1e-2;
const LESS_DAMPING: f64 = 0.1;
const MORE_DAMPING: f64 = 10.0;
const LEAST_DAMPING: f64 = 1e-6;
/// Beyond it no step lowers the cost: this is the minimum.
const MOST_DAMPING: f64 = 1e4;
/// A step below is none, radians, and of the depth of the points: a twentieth of a pixel.
const SMALL_STEP: f64 = 1e-4;

/// Where a descent ended.
pub(super) struct Descent {
    pub pose: Se3,
    pub steps: usize,
    /// Whether its steps became small.
    pub settled: bool,
}

/// Goes down from a pose; `None` where too few points are in view, or the points in view leave the pose open.
pub(super) fn descend(scene: &Scene, level: &Level, start: Se3) -> Option<Descent> {
    let (mut pose, mut here, mut damping) = (start, Equations::at(scene, level, &start)?, FIRST_DAMPING);
    for steps in 1..=MAX_STEPS {
        let step = here.step(damping)?;
        let there = pose.retract(&step);
        match Equations::at(scene, level, &there).filter(|there| there.cost < here.cost) {
            Some(equations) => {
                (pose, here) = (there, equations);
                damping = (damping * LESS_DAMPING).max(LEAST_DAMPING);
            }
            None => damping *= MORE_DAMPING,
        }
        if length(&step, here.depth) < SMALL_STEP || damping > MOST_DAMPING {
            return Some(Descent { pose, steps, settled: true });
        }
    }
    Some(Descent { pose, steps: MAX_STEPS, settled: false })
}

/// How far a step goes: its turn, and its way by the depth of what is seen.
fn length(step: &Vector6, depth: f64) -> f64 {
    step.fixed_rows::<3>(0).norm() / depth + step.fixed_rows::<3>(3).norm()
}
