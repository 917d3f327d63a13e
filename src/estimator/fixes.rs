//! What becomes of a fix: it waits for others to agree with, joins the estimate, is gated, or shows a kidnap.

use nalgebra::Vector3;

use super::consensus::{Agreement, Fix};
use super::gravity::{GravityCheck, check_gravity};
use super::window::{ImuModel, Window};
use super::{Cause, Estimator, FUTURE, Rejection, State, Verdict};
use crate::geometry::{PoseCovariance, Se3};
use crate::imu::{ImuBias, ImuNoise};
use crate::sensor::{AbsolutePose, ImuSample};
use crate::{Result, Stamp};

/// Fixes agree when their squared Mahalanobis distance is within this: chi-square, six degrees of freedom, 99 %.
const AGREEMENT: f64 = 16.81;
/// Gated fixes that are kept to compare with.
const KEPT_GATED: usize = 400;
/// IMU samples that tell the direction of gravity, seconds.
const GRAVITY_INTERVAL: f64 = 0.5;

impl Estimator {
    pub(super) fn fix_of(&self, pose: &AbsolutePose) -> std::result::Result<Fix, Rejection> {
        let mounting = self.mounting.ok_or(Rejection::NotMounted)?;
        let covariance = PoseCovariance::new(&pose.covariance).map_err(|_| Rejection::NotFinite)?;
        if !pose.map_from_camera.is_finite() {
            return Err(Rejection::NotFinite);
        }
        let camera_from_base = mounting.base_from_camera.inverse();
        Ok(Fix {
            stamp: pose.stamp,
            map_from_base: pose.map_from_camera * camera_from_base,
            covariance: covariance.composed_with(camera_from_base),
        })
    }

    /// A stamp ahead of every other measurement is wrong once; twice in a row the others have ended.
    pub(super) fn is_from_the_future(&mut self, stamp: Stamp) -> bool {
        let known = self.sources.newest().max(self.newest_fix);
        let ahead = self.sources.newest().is_some() && known.is_some_and(|known| stamp.seconds_since(known) > FUTURE);
        let refused = ahead && !self.was_ahead;
        self.was_ahead = refused;
        refused
    }

    /// Without an estimate: waits until enough fixes agree.
    pub(super) fn seek(&mut self, fix: Fix) -> Result<Verdict> {
        let (stamp, kept) = (fix.stamp, self.config.consensus_window);
        self.consensus.add(fix, kept);
        let agreement = self.agreement()?;
        let Some(agreement) = agreement.filter(|agreement| agreement.fixes >= self.config.consensus_fixes) else {
            self.rejections.count(Rejection::NoConsensus);
            return Ok(Verdict::Waiting);
        };
        let cause = Cause::Consensus { fixes: agreement.fixes };
        self.start(&agreement, stamp, cause)?;
        Ok(Verdict::Accepted)
    }

    /// With an estimate: uses the fix, or gates it and asks whether the robot was moved.
    pub(super) fn compare(&mut self, fix: Fix) -> Result<Verdict> {
        let Some(window) = &mut self.window else { return Ok(Verdict::Waiting) };
        let stood = window.keyframe(fix.stamp, &self.sources, &self.config);
        if let Err(rejection) = self.guarded(fix.stamp, stood)? {
            return Ok(self.reject(rejection));
        }
        let Some(window) = &mut self.window else { return Ok(Verdict::Waiting) };
        let predicted = window.predicted(fix.stamp);
        let (map_from_base, covariance) = self.guarded(fix.stamp, predicted)?;
        let square = fix.squared_distance(map_from_base, &covariance)?;
        if square > self.config.gate * self.config.gate {
            return self.gate(fix, map_from_base, square.sqrt());
        }
        let Some(window) = &mut self.window else { return Ok(Verdict::Waiting) };
        let added = window.add_fix(&fix, (&covariance, square), &self.sources, &self.config);
        match self.guarded(fix.stamp, added)? {
            Ok(()) => {
                self.forget_waiting();
                Ok(Verdict::Accepted)
            }
            Err(rejection) => Ok(self.reject(rejection)),
        }
    }

    fn gate(&mut self, fix: Fix, estimate: Se3, mahalanobis: f64) -> Result<Verdict> {
        self.rejections.count(Rejection::Gated);
        let stamp = fix.stamp;
        let jump = estimate.local(fix.map_from_base);
        let sigmas = |start: usize| {
            let variance = fix.covariance.matrix().fixed_view::<3, 3>(start, start).trace() / 3.0;
            jump.fixed_rows::<3>(start).norm() / variance.sqrt()
        };
        let is_large = sigmas(0).max(sigmas(3)) > self.config.kidnap_distance;
        self.consensus.add(fix, KEPT_GATED);
        if let Some(agreement) = self.agreement()? {
            let young = self.window.as_ref().is_none_or(|window| window.evidence() < self.config.tracking_evidence);
            let enough = is_large || young || agreement.evidence >= self.config.kidnap_evidence;
            if enough && agreement.fixes >= self.config.kidnap_fixes {
                let cause = Cause::Kidnapped { fixes: agreement.fixes };
                self.start(&agreement, stamp, cause)?;
                return Ok(Verdict::Accepted);
            }
            self.contradicting = agreement.fixes;
            if self.state == State::Tracking && self.is_contradicted() {
                self.enter(stamp, State::Converging, Cause::Contradicted { fixes: agreement.fixes });
            }
        }
        Ok(Verdict::Gated { mahalanobis })
    }

    /// So many fixes contradict the estimate and agree with each other that it may be wrong.
    pub(super) fn is_contradicted(&self) -> bool {
        self.contradicting >= self.config.kidnap_fixes
    }

    pub(super) fn forget_waiting(&mut self) {
        self.consensus.clear();
        self.contradicting = 0;
    }

    fn agreement(&self) -> Result<Option<Agreement>> {
        let motion = |earlier, later| self.sources.motion(earlier, later);
        self.consensus.agreement(AGREEMENT, self.config.correlation_time, motion)
    }

    /// A new window where fixes agree.
    pub(super) fn start(&mut self, agreement: &Agreement, stamp: Stamp, cause: Cause) -> Result<()> {
        let imu = self.imu_model(agreement);
        let window = Window::start(agreement, imu, &self.config, self.history.is_some())?;
        self.end_run(&cause);
        self.window = Some(window);
        self.starts += 1;
        self.forget_waiting();
        self.enter(stamp, State::Converging, cause);
        Ok(())
    }

    /// The IMU's part in a new window; `None` when it does not come or gravity contradicts it.
    fn imu_model(&mut self, agreement: &Agreement) -> Option<ImuModel> {
        let base_from_imu = self.mounting?.base_from_imu?;
        let gravity_in_map = Vector3::from(self.config.gravity_in_map);
        let newest = self.sources.imu.newest()?;
        if agreement.stamp.seconds_since(newest) > FUTURE {
            return None;
        }
        let map_from_imu = agreement.map_from_base * base_from_imu;
        let recent: Vec<ImuSample> = {
            let since = newest - crate::config::seconds(GRAVITY_INTERVAL);
            self.sources.imu.samples().filter(|sample| sample.stamp >= since).copied().collect()
        };
        let bias = match check_gravity(&recent, map_from_imu.rotation, gravity_in_map) {
            GravityCheck::Agrees { bias } => bias,
            GravityCheck::Unknown => ImuBias::zero(),
            GravityCheck::Contradicts { tilt, force } => {
                let degrees = tilt.to_degrees();
                tracing::warn!(
                    "the IMU is not used: expected gravity_in_map, found {force:.2} m/s², {degrees:.0} degrees from up; \
                     check the IMU's mounting and units, and estimator.gravity_in_map"
                );
                self.rejections.count(Rejection::Gravity);
                return None;
            }
        };
        let noise = ImuNoise {
            gyroscope_noise_density: self.config.gyroscope_noise_density,
            gyroscope_random_walk: self.config.gyroscope_random_walk,
            accelerometer_noise_density: self.config.accelerometer_noise_density,
            accelerometer_random_walk: self.config.accelerometer_random_walk,
        };
        Some(ImuModel { base_from_imu, noise, gravity_in_map, bias })
    }
}
