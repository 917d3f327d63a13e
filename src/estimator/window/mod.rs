//! The window of keyframes: which variables and factors the fixed-lag graph holds, in the order of time.
//!
//! A keyframe stands at the stamp of each image; between neighbours stands a link of whatever measured the motion:
//! IMU, odometry, relative pose, and where nothing did, the robot's typical speed. A late keyframe splits the link that
//! it falls into, and the two halves are cut anew from the buffers. What leaves the window becomes its prior.

use std::collections::{BTreeSet, VecDeque};

use nalgebra::{Matrix6, Vector3, Vector6};

mod intersection;
mod link;

use super::Rejection;
use super::consensus::{Agreement, Fix, news};
use super::efficiency::huber_efficiency;
use super::sources::Sources;
use crate::config::EstimatorConfig;
use crate::geometry::{PoseCovariance, Se3};
use crate::graph::{
    BetweenFactor, FactorGraph, FactorId, FixedLag, Gaussian, Key, PriorFactor, RobustKernel, Settings, Values,
    Variable, VectorPriorFactor,
};
use crate::imu::{ImuBias, ImuNoise, NavState};
use crate::{Error, Result, Stamp};
use intersection::Intersection;
use link::imu_keys;

/// The IMU's part in a window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ImuModel {
    /// Pose of the IMU on the base: the window then holds poses of the IMU.
    pub base_from_imu: Se3,
    /// Its noise.
    pub noise: ImuNoise,
    /// Acceleration of free fall in the map, m/s².
    pub gravity_in_map: Vector3<f64>,
    /// Its biases at the start.
    pub bias: ImuBias,
}

/// The newest keyframe's estimate.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// When.
    pub stamp: Stamp,
    /// Pose of the body and, with an IMU, its velocity.
    pub state: NavState,
    /// The biases, with an IMU.
    pub bias: ImuBias,
    /// Joint covariance of pose (6), and with an IMU velocity (3) and biases (6).
    pub covariance: nalgebra::DMatrix<f64>,
}

#[derive(Debug)]
struct Keyframe {
    index: u64,
    stamp: Stamp,
    /// The factors that measure the motion from the keyframe before.
    link: Vec<FactorId>,
    /// The relative poses that end here, by the stamp of their start.
    relatives: Vec<(Stamp, FactorId)>,
    /// What stands for that motion where nothing measured it.
    unmeasured: Option<Unmeasured>,
    has_fix: bool,
}

/// A link by the robot's typical speed, or by a relative pose that told less than the fix behind it.
#[derive(Debug)]
struct Unmeasured {
    factor: FactorId,
    /// What was added to its covariance for the fix behind it, in the axes of the later base. See [`intersection`].
    slack: Matrix6<f64>,
}

/// The window. See the module's text.
#[derive(Debug)]
pub struct Window {
    lag: FixedLag,
    keyframes: VecDeque<Keyframe>,
    /// The keyframes that have left, if they are kept.
    left: Option<Vec<(u64, Stamp)>>,
    next_index: u64,
    /// Stamps of the fixes in use, also of those that left the window.
    last_fix: Option<Stamp>,
    evidence: f64,
    /// What a fix tells beyond its weight under the robust kernel.
    efficiency: f64,
    imu: Option<ImuModel>,
    /// Why stretches between keyframes did without the IMU, since [`Window::take_refusals`].
    refusals: Vec<Rejection>,
}

impl Window {
    /// A window with one keyframe where the fixes agree; it keeps what leaves it if `keep` says so.
    ///
    /// # Errors
    /// When a covariance is numerically singular.
    pub fn start(agreement: &Agreement, imu: Option<ImuModel>, config: &EstimatorConfig, keep: bool) -> Result<Self> {
        let lag = FixedLag::new(Settings::default());
        let mut window = Self {
            lag: if keep { lag.with_archive() } else { lag },
            keyframes: VecDeque::new(),
            left: keep.then(Vec::new),
            next_index: 0,
            last_fix: Some(agreement.stamp),
            evidence: agreement.evidence,
            efficiency: huber_efficiency(config.robust_scale)?,
            imu,
            refusals: Vec::new(),
        };
        let base_from_body = window.base_from_body();
        let map_from_body = agreement.map_from_base * base_from_body;
        let covariance = agreement.covariance.composed_with(base_from_body);
        let state = NavState { map_from_imu: map_from_body, velocity: Vector3::zeros() };
        let bias = imu.map_or_else(ImuBias::zero, |imu| imu.bias);
        let index = window.insert(state, bias)?;
        let noise = Gaussian::from_covariance(&covariance.matrix())?;
        window.lag.add(Box::new(PriorFactor::new(Key::pose(index), map_from_body, noise)?))?;
        if imu.is_some() {
            let speed = Gaussian::isotropic(config.speed)?;
            window.lag.add(Box::new(VectorPriorFactor::new(Key::velocity(index), Vector3::zeros(), speed)?))?;
            let (g, a) = (config.gyroscope_bias, config.accelerometer_bias);
            let sigmas = Gaussian::from_sigmas(&Vector6::new(g, g, g, a, a, a))?;
            window.lag.add(Box::new(VectorPriorFactor::new(Key::bias(index), bias.to_vector(), sigmas)?))?;
        }
        let stamp = agreement.stamp;
        let (link, relatives) = (Vec::new(), Vec::new());
        window.keyframes.push_back(Keyframe { index, stamp, link, relatives, unmeasured: None, has_fix: true });
        Ok(window)
    }

    /// The IMU's part, if it has one.
    pub fn imu(&self) -> Option<&ImuModel> {
        self.imu.as_ref()
    }

    /// The constant transform from the body whose poses the window holds to the base.
    pub fn base_from_body(&self) -> Se3 {
        self.imu.map_or_else(Se3::identity, |imu| imu.base_from_imu)
    }

    /// The stretches that did without the IMU since the last call, each with its reason.
    pub fn take_refusals(&mut self) -> Vec<Rejection> {
        std::mem::take(&mut self.refusals)
    }

    /// How many independent fixes the estimate is worth so far.
    pub fn evidence(&self) -> f64 {
        self.evidence
    }

    /// The stamp of the newest fix in use.
    pub fn last_fix(&self) -> Option<Stamp> {
        self.last_fix
    }

    /// Whether what has left it is kept.
    pub fn has_history(&self) -> bool {
        self.left.is_some()
    }

    /// Index and stamp of each keyframe there ever was, in the order of time; without a history, those in the window.
    pub fn all_keyframes(&self) -> impl Iterator<Item = (u64, Stamp)> {
        let present = self.keyframes.iter().map(|keyframe| (keyframe.index, keyframe.stamp));
        self.left.iter().flatten().copied().chain(present)
    }

    /// All that was measured from the start of the window on, with the last estimates; without what a keyframe that
    /// failed half-way may have left.
    ///
    /// # Errors
    /// When no history is kept.
    pub fn whole(&self) -> Result<(FactorGraph, Values)> {
        let (mut graph, mut values) = self.lag.whole()?;
        let stands: BTreeSet<u64> = self.all_keyframes().map(|(index, _)| index).collect();
        let orphans: Vec<Key> = values.keys().iter().filter(|key| !stands.contains(&key.index())).copied().collect();
        graph.take_unless(|factor| factor.keys().iter().all(|key| !orphans.contains(key)));
        for key in &orphans {
            values.remove(*key);
        }
        Ok((graph, values))
    }

    /// The stamps of the oldest and of the newest keyframe.
    pub fn span(&self) -> (Stamp, Stamp) {
        let stamp = |keyframe: Option<&Keyframe>| keyframe.map(|keyframe| keyframe.stamp).unwrap_or_default();
        (stamp(self.keyframes.front()), stamp(self.keyframes.back()))
    }

    /// Whether a keyframe stands at `stamp`.
    pub fn has_keyframe(&self, stamp: Stamp) -> bool {
        self.keyframes.binary_search_by_key(&stamp, |keyframe| keyframe.stamp).is_ok()
    }

    /// Makes sure that a keyframe stands at `stamp`.
    ///
    /// # Errors
    /// What the graph says; in the inner result [`Rejection::TooOld`] before the window.
    pub fn keyframe(
        &mut self,
        stamp: Stamp,
        sources: &Sources,
        config: &EstimatorConfig,
    ) -> Result<std::result::Result<(), Rejection>> {
        let place = self.keyframes.partition_point(|keyframe| keyframe.stamp < stamp);
        if self.keyframes.get(place).is_some_and(|keyframe| keyframe.stamp == stamp) {
            return Ok(Ok(()));
        }
        let Some(before) = place.checked_sub(1).map(|before| &self.keyframes[before]) else {
            return Ok(Err(Rejection::TooOld));
        };
        let (from, from_stamp) = (before.index, before.stamp);
        let (state, bias) = self.propagated(from, from_stamp, stamp, sources)?;
        let index = self.insert(state, bias)?;
        let mut slack = Matrix6::zeros();
        if let Some(after) = self.keyframes.get_mut(place) {
            let (to, to_stamp) = (after.index, after.stamp);
            let (link, unmeasured) = (std::mem::take(&mut after.link), after.unmeasured.take());
            for factor in link.into_iter().chain(unmeasured.as_ref().map(|unmeasured| unmeasured.factor)) {
                self.lag.remove(factor);
            }
            slack = unmeasured.map_or(slack, |unmeasured| unmeasured.slack);
            let (link, unmeasured) = self.link((index, stamp), (to, to_stamp), slack, sources, config)?;
            slack = if unmeasured.is_some() { Matrix6::zeros() } else { slack };
            (self.keyframes[place].link, self.keyframes[place].unmeasured) = (link, unmeasured);
        }
        let (link, unmeasured) = self.link((from, from_stamp), (index, stamp), slack, sources, config)?;
        let relatives = Vec::new();
        self.keyframes.insert(place, Keyframe { index, stamp, link, relatives, unmeasured, has_fix: false });
        self.attach_relatives(stamp, sources, config).map(Ok)
    }

    /// The estimate at a keyframe and its covariance, of the base: what a fix there is compared with.
    ///
    /// # Errors
    /// When there is no keyframe, or the factors do not determine it.
    pub fn predicted(&mut self, stamp: Stamp) -> Result<(Se3, PoseCovariance)> {
        let key = Key::pose(self.at(stamp)?.index);
        let body_from_base = self.base_from_body().inverse();
        let covariance = self.lag.marginal_covariance(&[key])?;
        let covariance = PoseCovariance::new(&Matrix6::from_fn(|row, column| covariance[(row, column)]))?;
        Ok((self.lag.values().pose(key)? * body_from_base, covariance.composed_with(body_from_base)))
    }

    /// Adds a fix to its keyframe, discounted by what its neighbours in time told already; where nothing measured the
    /// motion from the last one, or too badly, as the [`intersection`] with the estimate, whose covariance there is
    /// `predicted` and which lies at the squared Mahalanobis distance `square` from it.
    ///
    /// # Errors
    /// What the graph says; in the inner result [`Rejection::Duplicate`].
    pub fn add_fix(
        &mut self,
        fix: &Fix,
        (predicted, square): (&PoseCovariance, f64),
        sources: &Sources,
        config: &EstimatorConfig,
    ) -> Result<std::result::Result<(), Rejection>> {
        let base_from_body = self.base_from_body();
        let known = self.keyframes.iter().filter(|keyframe| keyframe.has_fix).map(|keyframe| keyframe.stamp);
        let nearest = known.chain(self.last_fix).map(|stamp| stamp.seconds_since(fix.stamp).abs());
        let nearest = nearest.min_by(f64::total_cmp).unwrap_or(f64::INFINITY);
        let evidence = news(nearest, config.correlation_time);
        let Ok(place) = self.keyframes.binary_search_by_key(&fix.stamp, |keyframe| keyframe.stamp) else {
            return Err(Error::compute("estimator", "a fix without its keyframe"));
        };
        if self.keyframes[place].has_fix || evidence <= 0.0 {
            return Ok(Err(Rejection::Duplicate));
        }
        let mut share = evidence;
        let intersection = Intersection::new(nearest, config.correlation_time, square);
        let open = match self.unmeasured_before(place) {
            None if self.is_led_by_relative(place) => {
                intersection.tells_more_than(evidence, predicted, &fix.covariance).then_some(place)
            }
            open => open,
        };
        if let Some(open) = open {
            self.widen(open, place, predicted, intersection, sources)?;
            share = intersection.share_of_fix();
        }
        let information = share * self.efficiency;
        let covariance = fix.covariance.composed_with(base_from_body).matrix() / information;
        let kernel = RobustKernel::huber(config.robust_scale * information.sqrt())?;
        let key = Key::pose(self.keyframes[place].index);
        let noise = Gaussian::from_covariance(&covariance)?;
        let factor = PriorFactor::new(key, fix.map_from_base * base_from_body, noise)?.with_robust(kernel);
        self.lag.add(Box::new(factor))?;
        self.keyframes[place].has_fix = true;
        self.last_fix = self.last_fix.max(Some(fix.stamp));
        self.evidence += evidence;
        Ok(Ok(()))
    }

    /// Adds the relative poses at `stamp` whose two keyframes stand and that are not there yet.
    ///
    /// # Errors
    /// What the graph says.
    pub fn attach_relatives(&mut self, stamp: Stamp, sources: &Sources, config: &EstimatorConfig) -> Result<()> {
        let base_from_body = self.base_from_body();
        for relative in sources.relatives_at(stamp) {
            let (Ok(from), Ok(to)) = (self.place(relative.earlier), self.place(relative.later)) else { continue };
            if self.keyframes[to].relatives.iter().any(|(earlier, _)| *earlier == relative.earlier) {
                continue;
            }
            if from + 1 == to && self.measured_after_all(to, relative.earlier, sources)? {
                continue;
            }
            let keys = [from, to].map(|place| Key::pose(self.keyframes[place].index));
            let motion = relative.motion.of_fixed_body(base_from_body);
            let noise = Gaussian::from_covariance(&motion.covariance.matrix())?;
            let kernel = RobustKernel::huber(config.relative_robust_scale)?;
            let factor = BetweenFactor::new(keys[0], keys[1], motion.earlier_from_later, noise)?.with_robust(kernel);
            let factor = self.lag.add(Box::new(factor))?;
            self.keyframes[to].relatives.push((relative.earlier, factor));
        }
        Ok(())
    }

    /// Optimizes, and lets go of what is older than the window.
    ///
    /// # Errors
    /// When the graph is not determined, or a number is not finite.
    pub fn update(&mut self, config: &EstimatorConfig) -> Result<()> {
        self.lag.update(config.iterations)?;
        let (_, newest) = self.span();
        while self.keyframes.len() > 2 {
            let (oldest, second) = (&self.keyframes[0], &self.keyframes[1]);
            if self.keyframes.len() <= config.keyframes && newest.seconds_since(oldest.stamp) <= config.lag {
                break;
            }
            let elapsed = second.stamp.seconds_since(oldest.stamp);
            let keys = self.keys(oldest.index);
            self.lag.marginalize_fading(&keys, (-elapsed / config.memory).exp())?;
            let left = self.keyframes.pop_front();
            if let (Some(left), Some(history)) = (left, &mut self.left) {
                history.push((left.index, left.stamp));
            }
        }
        Ok(())
    }

    /// The newest keyframe's estimate.
    ///
    /// # Errors
    /// When the factors do not determine it, or a number is not finite.
    pub fn head(&mut self) -> Result<Head> {
        let Some(newest) = self.keyframes.back() else { return Err(Error::compute("estimator", "an empty window")) };
        let (index, stamp) = (newest.index, newest.stamp);
        let covariance = self.lag.marginal_covariance(&self.keys(index))?;
        let (state, bias) = self.state(index)?;
        if !state.is_finite() || !bias.is_finite() || !covariance.iter().all(|value| value.is_finite()) {
            return Err(Error::compute("estimator", "an estimate that is not finite"));
        }
        Ok(Head { stamp, state, bias, covariance })
    }

    fn at(&self, stamp: Stamp) -> Result<&Keyframe> {
        self.place(stamp).map(|place| &self.keyframes[place])
    }

    fn place(&self, stamp: Stamp) -> Result<usize> {
        let found = self.keyframes.binary_search_by_key(&stamp, |keyframe| keyframe.stamp);
        found.map_err(|_| Error::compute("estimator", format!("no keyframe at {stamp}")))
    }

    fn keys(&self, index: u64) -> Vec<Key> {
        match self.imu {
            Some(_) => imu_keys(index).to_vec(),
            None => vec![Key::pose(index)],
        }
    }

    fn insert(&mut self, state: NavState, bias: ImuBias) -> Result<u64> {
        let index = self.next_index;
        self.next_index += 1;
        self.lag.insert(Key::pose(index), Variable::Pose(state.map_from_imu))?;
        if self.imu.is_some() {
            self.lag.insert(Key::velocity(index), Variable::Vector3(state.velocity))?;
            self.lag.insert(Key::bias(index), Variable::Vector6(bias.to_vector()))?;
        }
        Ok(index)
    }

    fn state(&self, index: u64) -> Result<(NavState, ImuBias)> {
        let values = self.lag.values();
        let map_from_imu = values.pose(Key::pose(index))?;
        if self.imu.is_none() {
            return Ok((NavState { map_from_imu, velocity: Vector3::zeros() }, ImuBias::zero()));
        }
        let velocity = values.vector3(Key::velocity(index))?;
        Ok((NavState { map_from_imu, velocity }, ImuBias::from_vector(&values.vector6(Key::bias(index))?)))
    }

    /// A first guess of the state at `to`.
    fn propagated(&self, index: u64, from: Stamp, to: Stamp, sources: &Sources) -> Result<(NavState, ImuBias)> {
        let (state, bias) = self.state(index)?;
        if let Some(imu) = &self.imu
            && let Ok(interval) = sources.imu.interval(from, to)
        {
            return Ok((interval.preintegrate(bias, imu.noise).predict(&state, bias, imu.gravity_in_map), bias));
        }
        let motion = sources.motion(from, to)?.of_fixed_body(self.base_from_body());
        Ok((NavState { map_from_imu: state.map_from_imu * motion.earlier_from_later, ..state }, bias))
    }
}
