//! The factors between two neighbouring keyframes: whatever measured the motion, or the robot's typical speed.

use nalgebra::{Vector3, Vector6};

use super::{ImuModel, Unmeasured, Window};
use crate::config::EstimatorConfig;
use crate::estimator::Rejection;
use crate::estimator::motion::Motion;
use crate::estimator::sources::Sources;
use crate::geometry::Matrix6;
use crate::graph::{BetweenFactor, FactorId, Gaussian, ImuFactor, Key, VectorBetweenFactor};
use crate::imu::IntervalRefusal;
use crate::{Result, Stamp};

/// How much the velocity may change where no IMU measured it, in typical speeds per second.
const VELOCITY_WALK: f64 = 2.0;

impl Window {
    /// The factors between two neighbours; where nothing measured the motion, the link is wider by `slack`.
    pub(super) fn link(
        &mut self,
        (from, earlier): (u64, Stamp),
        (to, later): (u64, Stamp),
        slack: Matrix6,
        sources: &Sources,
        config: &EstimatorConfig,
    ) -> Result<(Vec<FactorId>, Option<Unmeasured>)> {
        let mut link = Vec::new();
        let mut measured = sources.has_relative(earlier, later);
        if let Some(motion) = sources.odometry_motion(earlier, later)? {
            link.push(self.between(from, to, motion)?);
            measured = true;
        }
        if let Some(imu) = self.imu {
            measured |= self.imu_link((from, earlier), (to, later), imu, sources, config, &mut link)?;
        }
        let unmeasured = match measured {
            true => None,
            false => Some(self.unmeasured((from, earlier), (to, later), slack, sources)?),
        };
        Ok((link, unmeasured))
    }

    pub(super) fn between(&mut self, from: u64, to: u64, motion: Motion) -> Result<FactorId> {
        let motion = motion.of_fixed_body(self.base_from_body());
        let noise = Gaussian::from_covariance(&motion.covariance.matrix())?;
        self.lag.add(Box::new(BetweenFactor::new(Key::pose(from), Key::pose(to), motion.earlier_from_later, noise)?))
    }

    /// The IMU between two neighbours; where it has gaps, velocity and biases walk. Whether it measured.
    fn imu_link(
        &mut self,
        (from, earlier): (u64, Stamp),
        (to, later): (u64, Stamp),
        imu: ImuModel,
        sources: &Sources,
        config: &EstimatorConfig,
        link: &mut Vec<FactorId>,
    ) -> Result<bool> {
        let (_, bias) = self.state(from)?;
        let interval = sources.imu.interval(earlier, later).and_then(|interval| interval.refuse_defects());
        match interval {
            Ok(interval) => {
                let preintegrated = interval.preintegrate(bias, imu.noise);
                let factor = ImuFactor::new(imu_keys(from), imu_keys(to), preintegrated, imu.gravity_in_map)?;
                link.push(self.lag.add(Box::new(factor))?);
                return Ok(true);
            }
            Err(IntervalRefusal::Saturated { .. }) => self.refusals.push(Rejection::ImuSaturated),
            Err(_) => self.refusals.push(Rejection::ImuGap),
        }
        let elapsed = later.seconds_since(earlier);
        let walk = Gaussian::isotropic(VELOCITY_WALK * config.speed * elapsed)?;
        let (from_v, to_v) = (Key::velocity(from), Key::velocity(to));
        link.push(self.lag.add(Box::new(VectorBetweenFactor::new(from_v, to_v, Vector3::zeros(), walk)?))?);
        let root = elapsed.sqrt();
        let (g, a) = (imu.noise.gyroscope_random_walk * root, imu.noise.accelerometer_random_walk * root);
        let walk = Gaussian::from_sigmas(&Vector6::new(g, g, g, a, a, a))?;
        let (from_b, to_b) = (Key::bias(from), Key::bias(to));
        link.push(self.lag.add(Box::new(VectorBetweenFactor::new(from_b, to_b, Vector6::zeros(), walk)?))?);
        Ok(false)
    }
}

/// The variables of a keyframe with an IMU.
pub(super) fn imu_keys(index: u64) -> [Key; 3] {
    [Key::pose(index), Key::velocity(index), Key::bias(index)]
}
