//! The numbers of a report. Their keys are part of the node's interface: the README lists them.

use super::arrivals::Arrivals;
use super::silence::offers;
use super::{Health, Reason, Situation};
use crate::alignment::Outcome;
use crate::memory::mebibytes;
use crate::middleware::{Diagnostics, Input, Link};
use crate::node::Phase;

type Values = Vec<(String, String)>;

impl Health {
    /// How the node is now; starts a new interval for all that is recent.
    pub(in crate::node) fn report(&mut self, situation: &Situation) -> Diagnostics {
        let (level, message) = self.verdict(situation);
        let interval = self.last_report.map(|last| situation.now.seconds_since(last)).filter(|seconds| *seconds > 0.0);
        let mut values = self.own_values(situation);
        for input in Input::ALL {
            self.input_values(input, interval, situation, &mut values);
        }
        self.odometry_values(interval, situation, &mut values);
        self.refusal_values(situation, &mut values);
        self.start_interval(situation);
        Diagnostics { stamp: situation.now, level, message, values }
    }

    fn own_values(&self, situation: &Situation) -> Values {
        let Situation { now, config, phase, .. } = *situation;
        let mut values = Values::new();
        let mut add = |key: &str, value: String| values.push((key.to_owned(), value));
        let has_model = matches!(phase, Phase::Inactive | Phase::Activating | Phase::Active | Phase::Deactivating);
        add("phase", phase.label().into());
        add("model", if has_model { config.model.display().to_string() } else { "none is loaded".into() });
        add("model/last_error", self.model_error.clone().unwrap_or_else(none));
        add("device", self.device.clone().filter(|_| has_model).unwrap_or_else(|| config.device.clone()));
        add("poses", self.poses.to_string());
        add("state", situation.estimator.map_or("without estimator", |estimator| estimator.state().name()).into());
        if situation.estimator.is_some() {
            let since = self.estimate.reason.as_ref().map(|(stamp, _)| now.seconds_since(*stamp));
            add("state/reason", self.reason().to_owned());
            add("state/age_s", seconds(since));
            add("state/changes", self.estimate.changes.to_string());
        }
        add("fix/age_s", seconds(self.last_fix.map(|fix| now.seconds_since(fix.stamp))));
        add("pose/age_s", seconds(self.last_pose.as_ref().map(|pose| now.seconds_since(pose.stamp))));
        let sigmas = self.last_pose.as_ref().map(|pose| pose.covariance.worst_sigmas());
        add("pose/position_sigma_m", seconds(sigmas.map(|(position, _)| position)));
        add(
            "pose/rotation_sigma_deg",
            sigmas.map_or_else(unknown, |(_, rotation)| format!("{:.2}", rotation.to_degrees())),
        );
        add("poses/carried", self.carried.to_string());
        add("network_answers", self.answers.to_string());
        if let Some(evidence) = &self.last_evidence {
            add("points/agreeing", format!("{} of {}", evidence.inliers, evidence.asked));
            add("points/search", if evidence.expected { "near the expected pose" } else { "everywhere" }.to_owned());
            add("points/residual_px", format!("{:.2}", evidence.residual));
            add("points/focal_length", self.focal.summary().map_or_else(unknown, |summary| summary.to_string()));
        }
        if self.alignments.total() > 0 {
            add(
                "alignment/converged",
                format!("{} of {}", self.alignments.of(Outcome::Converged), self.alignments.total()),
            );
            add(
                "alignment/not_used",
                Some(self.alignments.not_used()).filter(|text| !text.is_empty()).unwrap_or_else(none),
            );
        }
        add("transforms", self.transforms.to_string());
        add("clock_jumps", self.clock_jumps.to_string());
        for (key, share) in [("inference/p50_ms", 0.5), ("inference/p99_ms", 0.99)] {
            add(key, self.percentile(share).map_or_else(unknown, |seconds| format!("{:.1}", 1e3 * seconds)));
        }
        if let Some(bytes) = self.resident_memory.and_then(|resident| resident()) {
            add("memory/resident_mib", format!("{:.0}", mebibytes(bytes)));
        }
        values
    }

    fn input_values(&self, input: Input, interval: Option<f64>, situation: &Situation, values: &mut Values) {
        let name = input.name();
        let nothing = Arrivals::default();
        let arrivals = self.inputs.get(&input).unwrap_or(&nothing);
        values.push((format!("{name}/problem"), self.problem(input, situation).unwrap_or_else(none)));
        arrival_values(name, arrivals, interval, situation, values);
        if input == Input::Image {
            let replaced = self.refusals.get(&Reason::Replaced).map_or(0, |refusals| refusals.recent);
            let share = (arrivals.recent > 0).then(|| replaced as f64 / arrivals.recent as f64);
            values.push(("image/replaced_share".into(), share.map_or_else(unknown, |share| format!("{share:.2}"))));
        }
        if let Some(link) = situation.link(input) {
            link_values(name, link, values);
        }
        if let Some(link) = situation.static_link().filter(|_| input == Input::Transforms) {
            link_values("tf_static", link, values);
        }
    }

    /// The odometry wherever it comes from: `odom -> base_link` on `/tf`, or messages on `odom`.
    fn odometry_values(&self, interval: Option<f64>, situation: &Situation, values: &mut Values) {
        if situation.config.use_odometry {
            arrival_values("odom_to_base", &self.odometry, interval, situation, values);
        }
    }

    fn refusal_values(&self, situation: &Situation, values: &mut Values) {
        for (reason, refusals) in &self.refusals {
            values.push((format!("refused/{}", reason.name()), refusals.count.to_string()));
            if !refusals.last.is_empty() {
                values.push((format!("refused/{}/last", reason.name()), refusals.last.clone()));
            }
        }
        for (rejection, count) in situation.estimator.iter().flat_map(|estimator| estimator.rejections().iter()) {
            values.push((format!("estimator/rejected/{}", rejection.name()), count.to_string()));
        }
    }

    fn start_interval(&mut self, situation: &Situation) {
        self.inputs.values_mut().for_each(Arrivals::reported);
        self.odometry.reported();
        self.refusals.values_mut().for_each(|refusals| refusals.recent = 0);
        (self.recent_poses, self.recent_transforms) = (0, 0);
        self.last_report = Some(situation.now);
    }
}

fn arrival_values(name: &str, arrivals: &Arrivals, interval: Option<f64>, situation: &Situation, values: &mut Values) {
    let mut add = |key: &str, value: String| values.push((format!("{name}/{key}"), value));
    add("count", arrivals.count.to_string());
    add("rate_hz", interval.map_or_else(unknown, |seconds| format!("{:.1}", arrivals.recent as f64 / seconds)));
    add("age_s", arrivals.age(situation.now).map_or("none came".into(), |age| format!("{age:.3}")));
    add("longest_gap_s", seconds(arrivals.longest_gap(situation.now)));
    let delay = arrivals.delay();
    add("delay_median_s", seconds(delay.map(|delay| delay.median)));
    add("delay_max_s", seconds(delay.map(|delay| delay.greatest)));
}

fn link_values(name: &str, link: &Link, values: &mut Values) {
    let mut add = |key: &str, value: String| values.push((format!("{name}/{key}"), value));
    add("topic", link.topic.clone());
    add("qos", link.requested.to_string());
    add("publishers", link.publishers.to_string());
    add("incompatible", if link.incompatible.is_empty() { none() } else { offers(link) });
}

/// With three decimals; also for metres.
fn seconds(value: Option<f64>) -> String {
    value.map_or_else(unknown, |value| format!("{value:.3}"))
}

fn none() -> String {
    "none".into()
}

fn unknown() -> String {
    "unknown".into()
}
