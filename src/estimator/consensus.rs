//! Fixes that wait for others to agree with: before the first pose, and when they contradict the estimate.
//!
//! One fix proves nothing: a network answers any image. Fixes of different moments that agree with each other, once the
//! motion between them is taken out, do, as far as their errors are independent.

use std::collections::VecDeque;

use nalgebra::Vector6;

use super::motion::Motion;
use crate::geometry::{Matrix6, PoseCovariance, Se3};
use crate::{Result, Stamp};

/// An absolute pose of the base.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fix {
    /// When it was true.
    pub stamp: Stamp,
    /// Pose of the base in the map.
    pub map_from_base: Se3,
    /// Covariance of its right perturbation.
    pub covariance: PoseCovariance,
}

impl Fix {
    /// Where the base is after a motion, as far as this fix says.
    fn carried(&self, stamp: Stamp, motion: &Motion) -> Self {
        Self {
            stamp,
            map_from_base: self.map_from_base * motion.earlier_from_later,
            covariance: self.covariance.chained_with(motion.earlier_from_later, &motion.covariance),
        }
    }

    /// The squared Mahalanobis distance of another pose with its own covariance: chi-square with six degrees.
    ///
    /// # Errors
    /// When the sum of the covariances is numerically singular.
    pub fn squared_distance(&self, map_from_base: Se3, covariance: &PoseCovariance) -> Result<f64> {
        let sum = PoseCovariance::new(&(self.covariance.matrix() + covariance.matrix()))?;
        sum.squared_mahalanobis(&self.map_from_base.local(map_from_base))
    }
}

/// How much a fix adds to another one `seconds` away whose error is the same process: a first-order Gauss-Markov
/// process of the correlation time τ, seen at distance Δ, has `tanh(Δ / 2τ)` of the information of independent fixes.
///
/// (The information of n samples of an AR(1) process with coefficient `a = exp(-Δ/τ)` about its mean grows by
/// `(1 - a) / (1 + a)` per sample.)
pub fn news(seconds: f64, correlation_time: f64) -> f64 {
    if correlation_time > 0.0 { (seconds.abs() / (2.0 * correlation_time)).tanh() } else { 1.0 }
}

/// Fixes that agree, carried to the moment of the newest one.
#[derive(Clone, Debug, PartialEq)]
pub struct Agreement {
    /// The moment.
    pub stamp: Stamp,
    /// Their mean.
    pub map_from_base: Se3,
    /// Covariance of the mean.
    pub covariance: PoseCovariance,
    /// How many there are.
    pub fixes: usize,
    /// How many independent ones they are worth.
    pub evidence: f64,
}

/// Fixes that wait. See the module's text.
#[derive(Clone, Debug, Default)]
pub struct Consensus {
    waiting: VecDeque<Fix>,
}

impl Consensus {
    /// Adds a fix and forgets all but the last `kept`.
    pub fn add(&mut self, fix: Fix, kept: usize) {
        let place = self.waiting.partition_point(|other| other.stamp <= fix.stamp);
        self.waiting.insert(place, fix);
        while self.waiting.len() > kept {
            self.waiting.pop_front();
        }
    }

    /// Forgets every fix.
    pub fn clear(&mut self) {
        self.waiting.clear();
    }

    /// The fixes that agree with the newest one within `chi_square`, that one among them; `None` without any fix.
    ///
    /// # Errors
    /// What `motion` says, or a covariance that is numerically singular.
    pub fn agreement(
        &self,
        chi_square: f64,
        correlation_time: f64,
        motion: impl Fn(Stamp, Stamp) -> Result<Motion>,
    ) -> Result<Option<Agreement>> {
        let Some(newest) = self.waiting.back() else { return Ok(None) };
        let mut agreeing = Vec::new();
        let mut evidence: f64 = 0.0;
        let mut before: Option<Stamp> = None;
        for fix in &self.waiting {
            let carried = match fix.stamp == newest.stamp {
                true => *fix,
                false => fix.carried(newest.stamp, &motion(fix.stamp, newest.stamp)?),
            };
            if newest.squared_distance(carried.map_from_base, &carried.covariance)? <= chi_square {
                evidence += before.map_or(1.0, |before| news(fix.stamp.seconds_since(before), correlation_time));
                before = Some(fix.stamp);
                agreeing.push(carried);
            }
        }
        let (map_from_base, covariance) = mean(&agreeing, newest.map_from_base)?;
        let covariance = PoseCovariance::new(&(covariance / evidence))?;
        let fixes = agreeing.len();
        Ok(Some(Agreement { stamp: newest.stamp, map_from_base, covariance, fixes, evidence }))
    }
}

/// The mean on the manifold, each fix with the same weight, and the mean covariance.
fn mean(fixes: &[Fix], guess: Se3) -> Result<(Se3, Matrix6)> {
    let count = fixes.len() as f64;
    let mut mean = guess;
    for _ in 0..10 {
        let step: Vector6<f64> = fixes.iter().map(|fix| mean.local(fix.map_from_base)).sum::<Vector6<f64>>() / count;
        mean = mean.retract(&step);
        if step.norm() < 1e-12 {
            break;
        }
    }
    Ok((mean, fixes.iter().map(|fix| fix.covariance.matrix()).sum::<Matrix6>() / count))
}
