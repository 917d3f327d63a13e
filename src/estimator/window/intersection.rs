//! A fix behind a stretch that nothing measured: it is joined with the estimate instead of averaged into it.
//!
//! A fix that is discounted (see [`news`](crate::estimator::news)) corrects slowly. That is right where odometry, IMU or
//! relative poses carry the estimate from fix to fix; where nothing does, the estimate would stay behind a robot that
//! moves, and there is nothing to average: the newest fix says nearly all. So the estimate before the stretch, with the
//! covariance `P`, and the fix, with `R`, are taken for what they are, two answers whose errors are alike. Those of a
//! Gauss-Markov process are correlated by at most `ρ = exp(-Δ/τ)`, whatever fixes the estimate was made of, and then for
//! every `κ > 0`, in the order of positive semidefinite matrices,
//!
//! `[P C; Cᵀ R] ≤ diag((1 + κ ρ) P, (1 + ρ/κ) R)`
//!
//! (Hanebeck, Briechle and Horn 2001, "A Tight Bound for the Joint Covariance of Two Random Vectors with Unknown but
//! Constrained Cross-Correlation"; for ρ = 1 the covariance intersection of Julier and Uhlmann 1997). With these two as
//! if they were independent, no covariance is claimed that is too small, and errors that are not alike after all still
//! average. In the graph the fix has the share `1 / (1 + ρ/κ)` of its information, and the link over the stretch is wider
//! by `κ ρ P`. For ρ = 0 both are as if there were nothing to it.
//!
//! A relative pose (visual odometry) may be so uncertain that it is no better than nothing: when the estimate that it
//! carries to the fix is less certain than the fix, the same bound tells more than the discount, and then it is taken.

use super::{Keyframe, Unmeasured, Window};
use crate::estimator::calibration::TAILS;
use crate::estimator::sources::Sources;
use crate::geometry::{Matrix6, PoseCovariance, Se3};
use crate::graph::Key;
use crate::{Result, Stamp};

/// κ for a fix that the estimate agrees with: what the estimate loses, in parts of what the fix loses. At 1 a robot of the
/// typical speed is followed most closely, below it a fix that jumps does less harm; at ½ neither costs more than a few
/// per cent.
const LOSS: f64 = 0.5;

/// What the estimate and a fix lose, as their errors are alike.
#[derive(Clone, Copy, Debug)]
pub(super) struct Intersection {
    /// ρ: how much the errors are correlated at most.
    correlation: f64,
    /// κ.
    loss: f64,
}

impl Intersection {
    /// Of a fix `seconds` away from the nearest one and at the squared Mahalanobis distance `square` from the estimate.
    ///
    /// The bound leaves κ open: a fix that lies far off loses more, by its weight in the t distribution that errors are
    /// taken for (see [`fix_covariance`](crate::estimator::calibration::fix_covariance)).
    pub fn new(seconds: f64, correlation_time: f64, square: f64) -> Self {
        let correlation = if correlation_time > 0.0 { (-seconds / correlation_time).exp() } else { 0.0 };
        Self { correlation, loss: LOSS * ((TAILS + 6.0) / (TAILS + square)).min(1.0) }
    }

    /// The share of its information that the fix enters with.
    pub fn share_of_fix(self) -> f64 {
        1.0 / (1.0 + self.correlation / self.loss)
    }

    /// Whether a fix of the covariance `of_fix` leaves an estimate of the covariance `of_estimate` more certain this way than
    /// by the share `news` of its information: by the determinant of the information that both make, of which
    /// `det(a P⁻¹ + b R⁻¹) = det(a R + b P) / (det P det R)`.
    pub fn tells_more_than(self, news: f64, of_estimate: &PoseCovariance, of_fix: &PoseCovariance) -> bool {
        let (p, r) = (of_estimate.matrix(), of_fix.matrix());
        let joined = r / (1.0 + self.slack_of_estimate()) + p * self.share_of_fix();
        joined.determinant() > (r + p * news).determinant()
    }

    /// By how much the covariance of the estimate grows, in parts of itself.
    fn slack_of_estimate(self) -> f64 {
        self.correlation * self.loss
    }
}

impl Window {
    /// The place of the newest keyframe, from that at `place` back to the last one with a fix, to which nothing measured
    /// the motion; `None` where everything is measured, and for a fix that comes later than one behind it: what the two
    /// have in common is in the estimate already, and a discount is all that is left.
    pub(super) fn unmeasured_before(&self, place: usize) -> Option<usize> {
        if self.is_late(place) || !self.keyframes[place].relatives.is_empty() {
            return None;
        }
        let without_fix = |at: &usize| *at == place || !self.keyframes[*at].has_fix;
        (1..=place).rev().take_while(without_fix).find(|at| self.keyframes[*at].unmeasured.is_some())
    }

    /// Whether the motion to the keyframe at `place` from the one before it is known by a relative pose and nothing else.
    pub(super) fn is_led_by_relative(&self, place: usize) -> bool {
        let Keyframe { link, relatives, .. } = &self.keyframes[place];
        let [(earlier, _)] = relatives.as_slice() else { return false };
        !self.is_late(place) && link.is_empty() && place > 0 && self.keyframes[place - 1].stamp == *earlier
    }

    fn is_late(&self, place: usize) -> bool {
        self.keyframes.range(place + 1..).any(|keyframe| keyframe.has_fix)
    }

    /// Widens the link to the keyframe at `open` for a fix at `place`, where the estimate of the base has the covariance
    /// `predicted`. That holds the stretch itself as well: the bound is the safer by it.
    pub(super) fn widen(
        &mut self,
        open: usize,
        place: usize,
        predicted: &PoseCovariance,
        intersection: Intersection,
        sources: &Sources,
    ) -> Result<()> {
        let before = (self.keyframes[open - 1].index, self.keyframes[open - 1].stamp);
        let at = (self.keyframes[open].index, self.keyframes[open].stamp);
        let body_from_base = self.base_from_body().inverse();
        let map_from_base = |index| -> Result<Se3> { Ok(self.lag.values().pose(Key::pose(index))? * body_from_base) };
        let fix_from_open = map_from_base(self.keyframes[place].index)?.inverse() * map_from_base(at.0)?;
        let mut slack: Matrix6 = predicted.composed_with(fix_from_open).matrix() * intersection.slack_of_estimate();
        match self.keyframes[open].unmeasured.take() {
            Some(unmeasured) => {
                self.lag.remove(unmeasured.factor);
                slack += unmeasured.slack;
            }
            None => {
                for (_, factor) in &self.keyframes[open].relatives {
                    self.lag.remove(*factor);
                }
            }
        }
        self.keyframes[open].unmeasured = Some(self.unmeasured(before, at, slack, sources)?);
        Ok(())
    }

    /// Takes away what stands for a motion to the keyframe at `place` that a relative pose measures after all. Whether that
    /// was for a fix already: then the relative pose is in the link, as wide as the fix asked for.
    pub(super) fn measured_after_all(&mut self, place: usize, earlier: Stamp, sources: &Sources) -> Result<bool> {
        let Some(unmeasured) = self.keyframes[place].unmeasured.take() else { return Ok(false) };
        self.lag.remove(unmeasured.factor);
        if unmeasured.slack == Matrix6::zeros() {
            return Ok(false);
        }
        let [before, at] = [place - 1, place].map(|place| (self.keyframes[place].index, self.keyframes[place].stamp));
        let measured = self.unmeasured(before, at, unmeasured.slack, sources)?;
        self.keyframes[place].relatives.push((earlier, measured.factor));
        self.keyframes[place].unmeasured = Some(measured);
        Ok(true)
    }

    /// A link by a relative pose, or of which nothing is known but the robot's typical speed, wider by `slack` in the axes
    /// of the later base.
    pub(super) fn unmeasured(
        &mut self,
        (from, earlier): (u64, Stamp),
        (to, later): (u64, Stamp),
        slack: Matrix6,
        sources: &Sources,
    ) -> Result<Unmeasured> {
        let mut motion = sources.relative_motion(earlier, later)?;
        motion.covariance = PoseCovariance::new(&(motion.covariance.matrix() + slack))?;
        Ok(Unmeasured { factor: self.between(from, to, motion)?, slack })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_both_lose_covers_the_correlation_however_it_is_shared() {
        for (seconds, time, square) in [(0.03, 1.0, 0.0), (0.03, 1.0, 25.0), (0.5, 0.2, 8.0), (2.0, 0.5, 100.0)] {
            let intersection = Intersection::new(seconds, time, square);
            let (of_estimate, of_fix) = (intersection.slack_of_estimate(), intersection.share_of_fix().recip() - 1.0);
            // [κρ P, -C; -Cᵀ, ρ/κ R] is positive semidefinite while the correlation is at most ρ.
            let correlation = f64::exp(-seconds / time);
            assert!((of_estimate * of_fix / correlation.powi(2) - 1.0).abs() < 1e-9, "{intersection:?}");
        }
        let (near, far) = (Intersection::new(0.1, 1.0, 1.0), Intersection::new(0.1, 1.0, 25.0));
        assert!(far.share_of_fix() < 0.6 * near.share_of_fix() && far.slack_of_estimate() < near.slack_of_estimate());
    }

    #[test]
    fn it_tells_more_where_the_estimate_is_less_certain_than_the_fix() {
        let fix = PoseCovariance::from_sigmas(0.1, 0.03).unwrap();
        let (intersection, news) = (Intersection::new(0.033, 1.0, 1.0), crate::estimator::news(0.033, 1.0));
        let tells_more = |metres, radians| {
            intersection.tells_more_than(news, &PoseCovariance::from_sigmas(metres, radians).unwrap(), &fix)
        };
        assert!(
            tells_more(0.2, 0.06) && tells_more(0.11, 0.033) && !tells_more(0.09, 0.027) && !tells_more(0.01, 0.003)
        );
    }

    #[test]
    fn errors_that_are_not_alike_cost_nothing() {
        for intersection in [Intersection::new(0.03, 0.0, 25.0), Intersection::new(f64::INFINITY, 1.0, 25.0)] {
            assert_eq!((intersection.share_of_fix(), intersection.slack_of_estimate()), (1.0, 0.0));
        }
    }
}
