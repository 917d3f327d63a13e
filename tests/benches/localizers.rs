//! Real localizers, frame by frame and made into trajectories: their raw poses, MapNet+PGO (causal and with the middle
//! of the window, as in the paper), vloc's estimator (causal) and its smoothed trajectory (not causal). The recorded answers
//! are those of `tests/localizers.rs`, the motion is simulated from ground truth with 2 % noise, the same for all
//! methods; the covariance of the fixes and their correlation time are fitted on the other sequences.
//! `cargo bench --no-default-features --bench localizers`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark may panic")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/localizer.rs"]
mod localizer;

use localizer::{Calibration, Localizer, Sequence, measured};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use vloc::Stamp;
use vloc::config::EstimatorConfig;
use vloc::estimator::{Estimator, MapNetPgo, Mounting, PgoAnswer, PgoFrame, PgoLinks};
use vloc::geometry::{Matrix6, PoseCovariance, Se3};
use vloc::sensor::{AbsolutePose, RelativePose};

/// The 90 % quantile of chi-square with six degrees of freedom.
const NINETY_PERCENT: f64 = 10.645;

/// A localizer and the windows of MapNet+PGO that it is compared with.
struct Comparison {
    name: &'static str,
    localizer: Localizer,
    /// Frames between the poses of a PGO window.
    skips: [usize; 2],
}

/// One frame of a sequence.
struct Frame {
    stamp: Stamp,
    truth: Se3,
    fix: Option<AbsolutePose>,
    /// From the frame before.
    motion: Option<RelativePose>,
    /// The motions since the first frame, one after the other.
    odom_from_camera: Se3,
}

/// What a method says of a frame.
type Answer = Option<(Se3, Option<PoseCovariance>)>;

/// The errors of a method over all sequences: metres and degrees, infinite where there is no answer; and how many of the
/// covariances' 90 % ellipsoids hold the truth.
struct Row {
    name: String,
    metres: Vec<f64>,
    degrees: Vec<f64>,
    covered: usize,
    covariances: usize,
}

impl Row {
    fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), metres: Vec::new(), degrees: Vec::new(), covered: 0, covariances: 0 }
    }

    fn add(&mut self, frames: &[Frame], answers: &[Answer]) {
        for (frame, answer) in frames.iter().zip(answers) {
            let Some((pose, covariance)) = answer else {
                self.metres.push(f64::INFINITY);
                self.degrees.push(f64::INFINITY);
                continue;
            };
            self.metres.push((pose.translation - frame.truth.translation).norm());
            self.degrees.push((pose.rotation.inverse() * frame.truth.rotation).log().norm().to_degrees());
            if let Some(covariance) = covariance {
                let square = covariance.squared_mahalanobis(&pose.local(frame.truth)).unwrap();
                self.covered += usize::from(square < NINETY_PERCENT);
                self.covariances += 1;
            }
        }
    }

    fn print(&self, localizer: &str, raw: &Row) {
        let at = |row: &Row, share: f64| quantile(&row.metres, share);
        let (median, p99) = (at(self, 0.5), at(self, 0.99));
        let coverage = match self.covariances {
            0 => String::from("-"),
            count => format!("{:.1} %", 100.0 * self.covered as f64 / count as f64),
        };
        println!(
            "| {localizer} | {} | {median:.4} | {:.3} | {:.2} | {:.2} | {p99:.3} | {:.2} | {coverage} |",
            self.name,
            quantile(&self.degrees, 0.5),
            quantile(&self.degrees, 0.99),
            median / at(raw, 0.5),
            p99 / at(raw, 0.99),
        );
    }
}

fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * share).round() as usize]
}

impl Comparison {
    fn frames(&self, sequence: &Sequence, covariance: &Matrix6, random: &mut ChaCha8Rng) -> Vec<Frame> {
        let mut frames: Vec<Frame> = Vec::new();
        for (truth, fix) in sequence {
            let stamp = Stamp::from_seconds(1000.0 + self.localizer.period * frames.len() as f64).unwrap();
            let motion = frames.last().map(|before| {
                let (previous_from_current, covariance) = measured(before.truth.inverse() * *truth, random);
                RelativePose { previous_stamp: before.stamp, stamp, previous_from_current, covariance }
            });
            let start = frames.last().map_or(Se3::identity(), |before| before.odom_from_camera);
            let moved = motion.as_ref().map_or(Se3::identity(), |motion| motion.previous_from_current);
            let fix = fix.map(|fix| AbsolutePose { stamp, map_from_camera: fix, covariance: *covariance });
            frames.push(Frame { stamp, truth: *truth, fix, motion, odom_from_camera: start * moved });
        }
        frames
    }

    /// The error that all fixes of a place have in common, per axis, as the smoothed trajectories of other sequences show
    /// it: variances (m², rad²) of what their covariances do not explain. What `estimator.map_position_sigma` and
    /// `estimator.map_rotation_sigma` are for.
    fn common_error(others: &[(&[Frame], &[Answer])]) -> (f64, f64) {
        let (mut squares, mut count) = ([0.0; 2], 0);
        for (frame, answer) in others.iter().flat_map(|(frames, answers)| frames.iter().zip(*answers)) {
            let Some((pose, Some(covariance))) = answer else { continue };
            let error = pose.local(frame.truth);
            for (part, start) in squares.iter_mut().zip([0, 3]) {
                let claimed = covariance.matrix().fixed_view::<3, 3>(start, start).trace();
                *part += error.fixed_rows::<3>(start).norm_squared() - claimed;
            }
            count += 3;
        }
        let [position, rotation] = squares.map(|square| (square / f64::from(count)).max(0.0));
        (position, rotation)
    }

    /// Causal answers and smoothed ones.
    fn estimate(&self, frames: &[Frame], correlation_time: f64) -> (Vec<Answer>, Vec<Answer>) {
        let window = 40.0 * self.localizer.period;
        let config = EstimatorConfig {
            lag: window,
            memory: window,
            correlation_time,
            position_limit: self.localizer.limits.0,
            rotation_limit: self.localizer.limits.1,
            relative_robust_scale: 1e6,
            ..EstimatorConfig::default()
        };
        let mut estimator = Estimator::new(config).unwrap();
        estimator.set_mounting(Mounting { base_from_camera: Se3::identity(), base_from_imu: None });
        estimator.keep_history();
        let mut causal = Vec::new();
        for frame in frames {
            if let Some(motion) = &frame.motion {
                estimator.add_relative(motion).unwrap();
            }
            if let Some(fix) = &frame.fix {
                estimator.add_absolute(fix).unwrap();
            }
            let estimate = estimator.step().unwrap().filter(|estimate| estimate.stamp == frame.stamp);
            causal.push(estimate.map(|estimate| (estimate.map_from_base, Some(estimate.covariance))));
        }
        let runs = estimator.smoothed().unwrap();
        let smoothed = |frame: &Frame| {
            let mut poses = runs.iter().rev().flat_map(|run| &run.poses);
            poses.find(|pose| pose.stamp == frame.stamp).map(|pose| (pose.map_from_base, Some(pose.covariance)))
        };
        (causal, frames.iter().map(smoothed).collect())
    }

    /// MapNet+PGO with constant weights: the fixes' fitted sigmas, and the odometry's mean error over the skip.
    fn pgo(&self, frames: &[Frame], covariance: &Matrix6, skip: usize, answer: PgoAnswer) -> Vec<Answer> {
        let variance = |matrix: &Matrix6, start: usize| matrix.fixed_view::<3, 3>(start, start).trace() / 3.0;
        let motions = || frames.iter().filter_map(|frame| frame.motion.as_ref());
        let mean = motions().map(|motion| motion.covariance).sum::<Matrix6>() / motions().count().max(1) as f64;
        let pgo = MapNetPgo {
            poses: 7,
            skip,
            answer,
            links: PgoLinks::Neighbours,
            absolute_sigmas: (variance(covariance, 0).sqrt(), variance(covariance, 3).sqrt()),
            relative_sigmas: ((variance(&mean, 0) * skip as f64).sqrt(), (variance(&mean, 3) * skip as f64).sqrt()),
        };
        let known = |frame: &Frame| PgoFrame {
            map_from_camera: frame.fix.as_ref().map(|fix| fix.map_from_camera),
            odom_from_camera: frame.odom_from_camera,
        };
        let frames: Vec<PgoFrame> = frames.iter().map(known).collect();
        pgo.localize(&frames).unwrap().into_iter().map(|answer| Some((answer?, None))).collect()
    }

    fn compare(&self) {
        let [near, far] = self.skips;
        let mut rows = [
            Row::new("raw"),
            Row::new(format!("MapNet+PGO, T 7, skip {near}, newest")),
            Row::new(format!("MapNet+PGO, T 7, skip {far}, newest")),
            Row::new("vloc"),
            Row::new(format!("MapNet+PGO, T 7, skip {near}, middle: not causal")),
            Row::new(format!("MapNet+PGO, T 7, skip {far}, middle: not causal")),
            Row::new("vloc, smoothed: not causal"),
            Row::new("the same with the common error of the other sequences in its covariance"),
        ];
        let mut hindsight = Vec::new();
        let mut random = ChaCha8Rng::seed_from_u64(0);
        for (name, sequence) in &self.localizer.sequences {
            let Calibration { covariance, correlation_time } = self.localizer.calibrated(name, 0);
            let frames = self.frames(sequence, &covariance, &mut random);
            let pgo = |skip: usize, answer: PgoAnswer| self.pgo(&frames, &covariance, skip, answer);
            let (causal, smoothed) = self.estimate(&frames, correlation_time);
            let fix_covariance = PoseCovariance::new(&covariance).unwrap();
            let raw = |frame: &Frame| frame.fix.as_ref().map(|fix| (fix.map_from_camera, Some(fix_covariance)));
            let answers = [
                frames.iter().map(raw).collect(),
                pgo(near, PgoAnswer::Newest),
                pgo(far, PgoAnswer::Newest),
                causal,
                pgo(near, PgoAnswer::Middle),
                pgo(far, PgoAnswer::Middle),
                smoothed.clone(),
            ];
            rows.iter_mut().zip(answers).for_each(|(row, answers)| row.add(&frames, &answers));
            hindsight.push((frames, smoothed));
        }
        for (sequence, (frames, smoothed)) in hindsight.iter().enumerate() {
            let others = hindsight.iter().enumerate().filter(|(other, _)| *other != sequence);
            let others: Vec<_> = others.map(|(_, (frames, answers))| (&frames[..], &answers[..])).collect();
            let (position, rotation) = Self::common_error(&others);
            let map = |axis: usize| if axis < 3 { position } else { rotation };
            let map = Matrix6::from_fn(|row, column| if row == column { map(row) } else { 0.0 });
            let wider = |covariance: &PoseCovariance| PoseCovariance::new(&(covariance.matrix() + map)).unwrap();
            let wider = |answer: &Answer| answer.map(|(pose, covariance)| (pose, covariance.as_ref().map(wider)));
            rows[7].add(frames, &smoothed.iter().map(wider).collect::<Vec<_>>());
        }
        rows.iter().for_each(|row| row.print(self.name, &rows[0]));
    }
}

fn main() {
    let Some(data) = common::real_data_for("the benchmark of real localizers") else { return };
    println!("| fixes of | method | median m | median deg | p99 deg | of raw median | p99 m | of raw p99 | in 90 % |");
    println!("|---|---|---|---|---|---|---|---|---|");
    for (name, file) in [("hloc", "hloc"), ("DSAC*", "dsac_rgb"), ("Active Search", "as")] {
        Comparison { name, localizer: Localizer::kitchen(&data, file), skips: [10, 150] }.compare();
    }
    Comparison { name: "PoseNet", localizer: Localizer::posenet(&data), skips: [1, 5] }.compare();
}
