//! What the node counts, and how it tells: `/diagnostics`, one status with one message and its numbers.
//!
//! The core notes what happens ([`Health::arrived`], [`Health::refused`], [`Health::published`], ...) and asks for a
//! report once per `diagnostics_period`. The message names the first cause in the order of the data, image, camera_info,
//! network, mounting, IMU, estimator, `map -> odom`: what comes later mostly follows from it. "Recent" means since the
//! report before. Nothing kept here grows with time.

use std::collections::{BTreeMap, VecDeque};

use crate::alignment::{Outcome, Outcomes};
use crate::estimator::Transition;
use crate::middleware::{Input, StampedPose};
use crate::pnp::{Evidence, FocalHistory};
use crate::{Error, Stamp};

mod arrivals;
mod cause;
mod clock;
mod inputs;
mod reason;
mod report;
mod silence;
mod situation;
mod verdict;

pub use reason::{Reason, Refusals};
pub(super) use situation::Situation;

use arrivals::Arrivals;
use verdict::{Estimate, Fix};

/// Durations that are kept for the percentiles.
const KEPT_DURATIONS: usize = 512;

/// The node's counters.
#[derive(Debug, Default)]
pub struct Health {
    inputs: BTreeMap<Input, Arrivals>,
    /// Where the odometry says that the base is, from `/tf` or from `odom`.
    odometry: Arrivals,
    refusals: BTreeMap<Reason, Refusals>,
    answers: u64,
    poses: u64,
    carried: u64,
    transforms: u64,
    clock_jumps: u64,
    seconds: VecDeque<f64>,
    recent_poses: u64,
    recent_transforms: u64,
    last_report: Option<Stamp>,
    /// Since when an image waits for the network's answer.
    working_since: Option<Stamp>,
    /// Since when images come and no pose goes out.
    looking_since: Option<Stamp>,
    last_fix: Option<Fix>,
    /// What the network's last answer stands on, where geometry measured it.
    last_evidence: Option<Evidence>,
    focal: FocalHistory,
    /// How the alignments of the model in use ended.
    alignments: Outcomes,
    last_pose: Option<StampedPose>,
    estimate: Estimate,
    /// Where the network computes.
    device: Option<String>,
    /// Who knows how many bytes the process holds.
    resident_memory: Option<fn() -> Option<u64>>,
    /// Why the last model that was asked for is not in use.
    model_error: Option<String>,
}

impl Health {
    /// A message came in at `now`; `stamp` says when it was made, where it says so.
    pub fn arrived(&mut self, input: Input, now: Stamp, stamp: Option<Stamp>) {
        self.inputs.entry(input).or_default().add(now, stamp);
        if input == Input::Image {
            self.looking_since.get_or_insert(now);
        }
    }

    /// The odometry is known up to `stamp`; what is not newer than before is no news.
    pub fn odometry_came(&mut self, now: Stamp, stamp: Stamp) {
        if self.odometry.last_stamp.is_none_or(|last| last < stamp) {
            self.odometry.add(now, Some(stamp));
        }
    }

    /// Something was not used.
    pub fn refused(&mut self, reason: Reason, error: &Error) {
        let refusals = self.refusals.entry(reason).or_default();
        refusals.count += 1;
        refusals.recent += 1;
        refusals.last = error.to_string();
        if refusals.count.is_power_of_two() {
            tracing::warn!(reason = reason.name(), count = refusals.count, "{error}");
        }
    }

    /// A newer image took the place of one that waited.
    pub fn replaced(&mut self) {
        let refusals = self.refusals.entry(Reason::Replaced).or_default();
        refusals.count += 1;
        refusals.recent += 1;
    }

    /// Another network is at work, on a device: the times of the one before say nothing of it.
    pub fn network_changed(&mut self) {
        self.seconds.clear();
        self.working_since = None;
        self.model_error = None;
        self.last_evidence = None;
        self.alignments = Outcomes::default();
        self.focal.clear();
    }

    /// Where the network computes.
    pub fn runs_on(&mut self, device: String) {
        self.device = Some(device);
    }

    /// Each report tells how many bytes the process holds, as this says.
    pub fn watch_memory(&mut self, resident: fn() -> Option<u64>) {
        self.resident_memory = Some(resident);
    }

    /// A model that was asked for is not in use.
    pub fn model_refused(&mut self, reason: String) {
        self.model_error = Some(reason);
    }

    /// An image went to the network.
    pub fn admitted(&mut self, now: Stamp) {
        self.working_since.get_or_insert(now);
    }

    /// The network is done with an image, for better or worse.
    pub fn worked(&mut self) {
        self.working_since = None;
    }

    /// The node became active or silent: what waited is waited for no more.
    pub fn phase_changed(&mut self) {
        (self.working_since, self.looking_since, self.last_pose) = (None, None, None);
        self.estimate = Estimate::default();
    }

    /// A pose went out.
    pub fn published(&mut self, pose: &StampedPose, now: Stamp) {
        self.last_pose = Some(pose.clone());
        self.looking_since = Some(now);
        self.poses += 1;
        self.recent_poses += 1;
    }

    /// The pose was one of an image whose place is not known, carried on by how the camera moved.
    pub fn carried(&mut self) {
        self.carried += 1;
    }

    /// What the network alone says went out.
    pub fn fixed(&mut self, alone: &StampedPose) {
        self.last_fix = Some(Fix { stamp: alone.stamp, sigmas: alone.covariance.worst_sigmas() });
    }

    /// The network answered; the work on its image took so many seconds, `evidence` is what the answer stands on, and its
    /// `alignment` ended so.
    pub fn answered(&mut self, seconds: Option<f64>, evidence: Option<Evidence>, alignment: Option<Outcome>) {
        self.answers += 1;
        alignment.into_iter().for_each(|outcome| self.alignments.count(outcome));
        self.last_evidence = evidence;
        if let Some(evidence) = evidence {
            self.focal.add(&evidence.focal);
        }
        if let Some(seconds) = seconds {
            self.seconds.truncate(KEPT_DURATIONS - 1);
            self.seconds.push_front(seconds);
        }
    }

    /// The state of the estimator changed.
    pub fn changed_state(&mut self, transition: &Transition) {
        self.estimate.note(transition, self.last_fix.as_ref());
    }

    /// A transform went out.
    pub fn transformed(&mut self) {
        self.transforms += 1;
        self.recent_transforms += 1;
    }

    /// The clock jumped back: ages and rates start anew.
    pub fn clock_jumped(&mut self) {
        self.clock_jumps += 1;
        (self.last_report, self.last_fix) = (None, None);
        (self.working_since, self.looking_since, self.last_pose) = (None, None, None);
        self.inputs.values_mut().for_each(Arrivals::clock_jumped);
        self.odometry.clock_jumped();
    }

    /// Poses since the start.
    pub fn poses(&self) -> u64 {
        self.poses
    }

    /// Answers of the network since the start.
    pub fn answers(&self) -> u64 {
        self.answers
    }

    /// Messages of an input since the start.
    pub fn arrivals(&self, input: Input) -> u64 {
        self.inputs.get(&input).map_or(0, |arrivals| arrivals.count)
    }

    /// Clock jumps since the start.
    pub fn clock_jumps(&self) -> u64 {
        self.clock_jumps
    }

    /// Refusals since the start, by reason.
    pub fn refusals(&self) -> &BTreeMap<Reason, Refusals> {
        &self.refusals
    }

    /// The time of work that a share of the last images stayed below, seconds.
    pub fn percentile(&self, share: f64) -> Option<f64> {
        let mut sorted: Vec<f64> = self.seconds.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        let index = (share * sorted.len() as f64).ceil() as usize;
        sorted.get(index.saturating_sub(1)).copied()
    }
}
