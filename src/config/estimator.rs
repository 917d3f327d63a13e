//! The parameters of the estimator: the only home of their names and defaults.

use serde::{Deserialize, Serialize};

use super::ranges;
use crate::{Error, Result};

/// The time over which errors are alike where it was not measured, that of a pose regressor, seconds.
pub(crate) const USUAL_CORRELATION_TIME: f64 = 1.0;

/// The parameters of the estimator, each with its default in [`EstimatorConfig::default`]; `config/vloc.yaml` explains
/// them. Seconds, metres, radians; standard deviations unless said otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EstimatorConfig {
    /// How far the window reaches back, seconds.
    pub lag: f64,
    /// Most keyframes in the window.
    pub keyframes: usize,
    /// Gauss-Newton steps per update.
    pub iterations: usize,
    /// Time over which the errors of successive fixes are alike, seconds; 0: each errs on its own; negative: as was measured
    /// when the model was trained, 1 s where it was not.
    pub correlation_time: f64,
    /// Time after which what left the window counts for 1/e, seconds; infinite: it counts forever.
    pub memory: f64,
    /// Scale of the Huber kernel on fixes: Mahalanobis distance from which on a fix counts less.
    pub robust_scale: f64,
    /// A fix further from the estimate than this is not used, standard deviations (Mahalanobis distance).
    pub gate: f64,
    /// Fixes that must agree before the first pose.
    pub consensus_fixes: usize,
    /// Among how many of the last fixes they are looked for.
    pub consensus_window: usize,
    /// Gated fixes that must agree before the pose jumps to them; as many end Tracking.
    pub kidnap_fixes: usize,
    /// How much worse than uncorrelated the evidence of a smaller jump may be: uncorrelated fixes that it takes.
    pub kidnap_evidence: f64,
    /// From how many standard deviations of a fix on a jump is a large one, which takes `kidnap_fixes` alone.
    pub kidnap_distance: f64,
    /// Uncorrelated fixes before the pose is called Tracking.
    pub tracking_evidence: f64,
    /// The pose is Lost when its position may be wrong by more than this, metres; Tracking needs a third of it.
    pub position_limit: f64,
    /// The same for the rotation, radians.
    pub rotation_limit: f64,
    /// Position error that all fixes of the map have in common, metres: added to what is reported.
    pub map_position_sigma: f64,
    /// Rotation error that all fixes of the map have in common, radians.
    pub map_rotation_sigma: f64,
    /// Typical speed of the robot, m/s: how far it may have gone where nothing measured its motion.
    pub speed: f64,
    /// Typical rate of turn, rad/s.
    pub rate_of_turn: f64,
    /// Wheel odometry: error of the translation after one metre, metres.
    pub odometry_translation: f64,
    /// Wheel odometry: error of the rotation after one radian, radians.
    pub odometry_rotation: f64,
    /// Wheel odometry: error of the rotation after one metre, radians.
    pub odometry_drift: f64,
    /// Scale of the Huber kernel on relative poses, standard deviations.
    pub relative_robust_scale: f64,
    /// Acceleration of free fall in the map, m/s².
    pub gravity_in_map: [f64; 3],
    /// White noise of the gyroscope, rad/s/√Hz.
    pub gyroscope_noise_density: f64,
    /// Random walk of the gyroscope's bias, rad/s²/√Hz.
    pub gyroscope_random_walk: f64,
    /// White noise of the accelerometer, m/s²/√Hz.
    pub accelerometer_noise_density: f64,
    /// Random walk of the accelerometer's bias, m/s³/√Hz.
    pub accelerometer_random_walk: f64,
    /// Bias of the gyroscope at start, rad/s.
    pub gyroscope_bias: f64,
    /// Bias of the accelerometer at start, m/s².
    pub accelerometer_bias: f64,
    /// How fast the published `map -> odom` may move the robot in the map, m/s.
    pub correction_speed: f64,
    /// How fast it may turn it, rad/s.
    pub correction_rate: f64,
}

impl Default for EstimatorConfig {
    fn default() -> Self {
        Self {
            lag: 3.0,
            keyframes: 40,
            iterations: 3,
            correlation_time: -1.0,
            memory: 3.0,
            robust_scale: 3.55,
            gate: 5.48,
            consensus_fixes: 2,
            consensus_window: 10,
            kidnap_fixes: 5,
            kidnap_evidence: 3.0,
            kidnap_distance: 25.0,
            tracking_evidence: 1.5,
            position_limit: 1.0,
            rotation_limit: 0.1745,
            map_position_sigma: 0.0,
            map_rotation_sigma: 0.0,
            speed: 1.0,
            rate_of_turn: 1.0,
            odometry_translation: 0.05,
            odometry_rotation: 0.05,
            odometry_drift: 0.02,
            relative_robust_scale: 3.0,
            gravity_in_map: [0.0, 0.0, -9.81],
            gyroscope_noise_density: 1.0e-3,
            gyroscope_random_walk: 5.0e-5,
            accelerometer_noise_density: 1.0e-2,
            accelerometer_random_walk: 5.0e-3,
            gyroscope_bias: 0.02,
            accelerometer_bias: 0.2,
            correction_speed: 0.5,
            correction_rate: 0.3,
        }
    }
}

impl EstimatorConfig {
    /// The correlation time that counts for fixes of a model over whose errors this one was measured, seconds.
    pub fn correlation_time_for(&self, measured: Option<f64>) -> f64 {
        match self.correlation_time < 0.0 {
            true => measured.unwrap_or(USUAL_CORRELATION_TIME),
            false => self.correlation_time,
        }
    }

    /// Whether every parameter is in its range.
    ///
    /// # Errors
    /// [`Error::Config`] that names the first one that is not.
    pub fn check(&self) -> Result<()> {
        ranges::check("estimator", self)?;
        if self.consensus_window < self.consensus_fixes {
            let least = format!("a count from {} (consensus_fixes)", self.consensus_fixes);
            return Err(Error::config("estimator.consensus_window", least, self.consensus_window.to_string()));
        }
        if !self.gravity_in_map.iter().all(|value| value.is_finite()) {
            let found = format!("{:?}", self.gravity_in_map);
            return Err(Error::config("estimator.gravity_in_map", "three finite numbers", found));
        }
        Ok(())
    }
}
