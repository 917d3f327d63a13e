//! A simulated robot: a walk through the synthetic room with everything that it would measure, errors included, and
//! the truth beside it.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::time::Duration;

use nalgebra::{Matrix6, Vector6};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use vloc::Stamp;
use vloc::config::EstimatorConfig;
use vloc::estimator::{Estimator, Mounting, OdometryNoise as WhiteNoise, PoseEstimate};
use vloc::geometry::{Matrix6 as Covariance, Se3};
use vloc::sensor::{AbsolutePose, ImuSample, RelativePose};
use vloc::synth::{ImuErrors, OdometryNoise, Pass, PassKind, PathKind, World, simulate_imu, simulate_odometry};

/// What the robot carries, and how it errs.
#[derive(Clone, Debug)]
pub struct Setup {
    pub seed: u64,
    pub seconds: f64,
    pub path: PathKind,
    /// Fixes per second.
    pub rate: f64,
    /// Standard deviation of a fix: metres, radians.
    pub fix_sigmas: (f64, f64),
    /// Over which the errors of fixes are alike, seconds.
    pub correlation_time: f64,
    /// From the image to the network's answer.
    pub latency: Duration,
    pub imu: Option<ImuErrors>,
    pub odometry: Option<OdometryNoise>,
    /// Odometry instead whose errors are white, as the estimator takes them to be.
    pub white_odometry: Option<WhiteNoise>,
    /// Relative poses with this share of the motion as their error.
    pub relative: Option<f64>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            seed: 1,
            seconds: 20.0,
            path: PathKind::Planar,
            rate: 10.0,
            fix_sigmas: (0.1, 0.03),
            correlation_time: 0.0,
            latency: Duration::from_millis(20),
            imu: None,
            odometry: None,
            white_odometry: None,
            relative: None,
        }
    }
}

/// Something that the robot measured.
#[derive(Clone, Debug)]
pub enum Measurement {
    Imu(ImuSample),
    Odometry(Stamp, Se3),
    Relative(RelativePose),
    Absolute(AbsolutePose),
}

impl Measurement {
    pub fn stamp(&self) -> Stamp {
        match self {
            Measurement::Imu(sample) => sample.stamp,
            Measurement::Odometry(stamp, _) => *stamp,
            Measurement::Relative(relative) => relative.stamp,
            Measurement::Absolute(absolute) => absolute.stamp,
        }
    }
}

/// A walk and what was measured on it, in the order of arrival.
pub struct Walk {
    pub pass: Pass,
    pub start: Stamp,
    pub events: Vec<(Stamp, Measurement)>,
}

/// A stamp of today, so that nothing depends on small numbers.
pub fn at(seconds: f64) -> Stamp {
    Stamp::from_nanos(1_700_000_000_000_000_000 + (seconds * 1e9).round() as i64)
}

/// A draw from the Gaussian of a covariance.
pub fn draw(random: &mut ChaCha8Rng, covariance: &Matrix6<f64>) -> Vector6<f64> {
    let white = Vector6::from_fn(|_, _| random.sample(StandardNormal));
    covariance.cholesky().expect("a covariance").l() * white
}

impl Walk {
    pub fn new(setup: &Setup) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(setup.seed ^ 0x51ee_7ab1_e5ee_d000);
        let world = World::new(setup.seed);
        let pass = Pass::new(&world, PassKind::Test, setup.path);
        let start = at(0.0);
        let mut events = Vec::new();
        if let Some(errors) = &setup.imu {
            let samples = simulate_imu(&pass, start, 200.0, (200.0 * setup.seconds) as usize + 1, errors);
            events.extend(samples.into_iter().map(|sample| (sample.stamp, Measurement::Imu(sample))));
        }
        if let Some(noise) = &setup.odometry {
            let samples = simulate_odometry(&pass, start, 50.0, (50.0 * setup.seconds) as usize + 1, noise);
            let event = |sample: vloc::synth::OdometrySample| {
                (sample.stamp, Measurement::Odometry(sample.stamp, sample.odom_from_base))
            };
            events.extend(samples.into_iter().map(event));
        }
        let mut walk = Self { pass, start, events };
        if let Some(noise) = &setup.white_odometry {
            walk.add_white_odometry(setup, noise);
        }
        walk.add_images(setup, &mut random);
        walk.events.sort_by_key(|(arrival, _)| *arrival);
        walk
    }

    /// Steps of 20 ms with independent Gaussian errors, added up.
    fn add_white_odometry(&mut self, setup: &Setup, noise: &WhiteNoise) {
        let mut random = ChaCha8Rng::seed_from_u64(setup.seed ^ 0x0d0_3e74_0000_0000);
        let mut odom_from_base = Se3::identity();
        let mut previous = self.map_from_base(self.start);
        for step in 0..=(50.0 * setup.seconds) as usize {
            let stamp = at(step as f64 / 50.0);
            let current = self.map_from_base(stamp);
            let motion = previous.inverse() * current;
            let (distance, angle) = (motion.translation.norm(), motion.rotation.log().norm());
            let translation = noise.translation_per_metre.powi(2) * distance;
            let rotation = noise.rotation_per_radian.powi(2) * angle + noise.rotation_per_metre.powi(2) * distance;
            let sigmas = [translation, translation, translation, rotation, rotation, rotation].map(f64::sqrt);
            let error = Vector6::from_fn(|axis, _| sigmas[axis] * random.sample::<f64, _>(StandardNormal));
            odom_from_base = odom_from_base * motion.retract(&error);
            previous = current;
            self.events.push((stamp, Measurement::Odometry(stamp, odom_from_base)));
        }
    }

    fn add_images(&mut self, setup: &Setup, random: &mut ChaCha8Rng) {
        let (t, r) = setup.fix_sigmas;
        let covariance = Covariance::from_diagonal(&Vector6::new(t * t, t * t, t * t, r * r, r * r, r * r));
        let mut error = draw(random, &covariance);
        let mut previous: Option<Stamp> = None;
        for image in 0..(setup.seconds * setup.rate) as usize {
            let stamp = at(image as f64 / setup.rate);
            let keep =
                if setup.correlation_time > 0.0 { (-1.0 / setup.rate / setup.correlation_time).exp() } else { 0.0 };
            error = keep * error + (1.0 - keep * keep).sqrt() * draw(random, &covariance);
            let arrival = stamp + setup.latency;
            if let (Some(share), Some(previous_stamp)) = (setup.relative, previous) {
                let motion = self.map_from_camera(previous_stamp).inverse() * self.map_from_camera(stamp);
                let (t, r) = (share * motion.translation.norm() + 1e-4, share * motion.rotation.log().norm() + 1e-4);
                let covariance = Covariance::from_diagonal(&Vector6::new(t * t, t * t, t * t, r * r, r * r, r * r));
                let previous_from_current = motion.retract(&draw(random, &covariance));
                let relative = RelativePose { previous_stamp, stamp, previous_from_current, covariance };
                self.events.push((arrival, Measurement::Relative(relative)));
            }
            previous = Some(stamp);
            // The covariance describes the true pose around the measured one.
            let map_from_camera = self.map_from_camera(stamp) * Se3::exp(&error).inverse();
            let absolute = AbsolutePose { stamp, map_from_camera, covariance };
            self.events.push((arrival, Measurement::Absolute(absolute)));
        }
    }

    fn seconds(&self, stamp: Stamp) -> f64 {
        stamp.seconds_since(self.start)
    }

    pub fn map_from_base(&self, stamp: Stamp) -> Se3 {
        self.pass.motion(self.seconds(stamp)).map_from_base
    }

    pub fn map_from_camera(&self, stamp: Stamp) -> Se3 {
        self.map_from_base(stamp) * self.pass.rig.base_from_camera
    }

    /// Changes the absolute poses whose stamps lie within an interval; `None` takes one away.
    pub fn change_fixes(&mut self, from: f64, to: f64, mut change: impl FnMut(&mut AbsolutePose) -> bool) {
        let (from, to) = (at(from), at(to));
        self.events.retain_mut(|(_, measurement)| match measurement {
            Measurement::Absolute(absolute) if absolute.stamp >= from && absolute.stamp < to => change(absolute),
            _ => true,
        });
    }
}

/// The estimator's parameters for what the robot carries, with a memory that does not fade.
pub fn config(setup: &Setup) -> EstimatorConfig {
    let errors = setup.imu.unwrap_or(ImuErrors::EUROC);
    let usual = EstimatorConfig::default();
    let odometry = setup.white_odometry.unwrap_or(WhiteNoise {
        translation_per_metre: usual.odometry_translation,
        rotation_per_radian: usual.odometry_rotation,
        rotation_per_metre: usual.odometry_drift,
    });
    EstimatorConfig {
        odometry_translation: odometry.translation_per_metre,
        odometry_rotation: odometry.rotation_per_radian,
        odometry_drift: odometry.rotation_per_metre,
        correlation_time: setup.correlation_time,
        memory: f64::INFINITY,
        gyroscope_noise_density: errors.noise.gyroscope_noise_density,
        gyroscope_random_walk: errors.noise.gyroscope_random_walk,
        accelerometer_noise_density: errors.noise.accelerometer_noise_density,
        accelerometer_random_walk: errors.noise.accelerometer_random_walk,
        ..usual
    }
}

pub fn mounting(walk: &Walk, setup: &Setup) -> Mounting {
    let rig = &walk.pass.rig;
    Mounting { base_from_camera: rig.base_from_camera, base_from_imu: setup.imu.map(|_| rig.base_from_imu) }
}

/// What is published as a covariance is one: finite and positive definite.
pub fn assert_positive(covariance: &Matrix6<f64>) {
    let is_finite = covariance.iter().all(|value| value.is_finite());
    assert!(is_finite && covariance.cholesky().is_some(), "no covariance: {covariance}");
}

/// An estimator that knows where the robot's sensors sit.
pub fn estimator(walk: &Walk, setup: &Setup, config: EstimatorConfig) -> Estimator {
    let mut estimator = Estimator::new(config).unwrap();
    estimator.set_mounting(mounting(walk, setup));
    estimator
}

/// Gives the events in the order of arrival; the answers after each fix.
pub fn drive(walk: &Walk, estimator: &mut Estimator) -> Vec<PoseEstimate> {
    let mut estimates = Vec::new();
    for (_, measurement) in &walk.events {
        match measurement {
            Measurement::Imu(sample) => drop(estimator.add_imu(*sample)),
            Measurement::Odometry(stamp, odom_from_base) => drop(estimator.add_odometry(*stamp, *odom_from_base)),
            Measurement::Relative(relative) => drop(estimator.add_relative(relative).unwrap()),
            Measurement::Absolute(absolute) => {
                estimator.add_absolute(absolute).unwrap();
                estimates.extend(estimator.step().unwrap());
            }
        }
    }
    estimates
}
