//! `vloc eval --fused`: what the estimator makes of a model's answers, one by one, as a robot would have had it.
//!
//! Frame by frame and causal, with nothing but the model's own absolute and relative poses: no IMU, no wheel odometry, and
//! nothing from the dataset but images and stamps. Wherever the test frames are not consecutive the estimator starts from
//! nothing, and the frames until it has an answer count as unanswered. Into `OUT/fused` goes what `vloc eval` writes into
//! `OUT`, and three pictures: the path, errors over time with the claimed band, and the NEES.

use std::path::Path;

use super::eval::EvalArgs;
use crate::Result;
use crate::config::{Config, EstimatorConfig, read_parameters};
use crate::dataset::{Dataset, FrameInfo};
use crate::estimator::calibration::true_correlation_time;
use crate::estimator::{Estimator, Mounting};
use crate::evaluation::fusion_plots::write_pictures;
use crate::evaluation::report::{Section, fused};
use crate::evaluation::{Baseline, Evaluation, FrameResult, Metrics};
use crate::geometry::Se3;
use crate::sensor::{AbsolutePose, RelativePose};

/// What the estimator made of the answers, beside the answers themselves.
pub struct Fused {
    /// Its errors, with the network alone as the row below.
    pub metrics: Metrics,
    /// The `estimator.correlation_time` with which the 90 % ellipsoid would have held 90 % here, seconds; `None` with too
    /// few answers to tell.
    pub correlation_time: Option<f64>,
    /// Its answers, frame by frame.
    pub results: Vec<FrameResult>,
}

impl Fused {
    /// The part of a report that shows it beside the answers themselves, `alone`.
    pub(super) fn section(&self, alone: &[FrameResult]) -> Result<Section> {
        let errors = &self.metrics.method.errors;
        let said = match (errors.median_translation_error, errors.median_rotation_error) {
            (Some(metres), Some(degrees)) => format!("medians {metres:.3} m and {degrees:.2}°"),
            _ => "no answer to half of them".to_owned(),
        };
        let text = format!(
            "What the estimator makes of the model's own absolute and relative poses, causal, from nothing wherever the test \
             frames are not consecutive: {} of {} frames answered, {said}.",
            errors.answered, errors.frames
        );
        Ok(Section::new("The fusion").with(text).with(fused(alone, &self.results)?))
    }
}

/// The estimator's parameters of `--params-file`, or the defaults.
pub(super) fn estimator_config(args: &EvalArgs) -> Result<EstimatorConfig> {
    match &args.params_file {
        Some(path) => Ok(Config::from_parameters(read_parameters(path, "vloc")?)?.estimator),
        None => Ok(EstimatorConfig::default()),
    }
}

/// Fuses the answers to the test frames and writes `folder`. `alone` is the evaluation of the answers themselves, whose
/// results are `results`; `motions`, how the camera moved to each frame as the model says, are in the same order.
///
/// # Errors
/// A parameter out of range, an estimator that cannot go on, a file that cannot be written.
pub(super) fn fuse(
    (dataset, test): (&dyn Dataset, &[usize]),
    (alone, results): (&Evaluation, &[FrameResult]),
    motions: &[Option<RelativePose>],
    config: &EstimatorConfig,
    folder: &Path,
) -> Result<Fused> {
    let estimates = estimates((dataset.frames(), test), results, motions, config)?;
    let bound = with_true_motion(dataset.frames(), test, results);
    let poses = results.iter().map(|result| result.estimate.as_ref().map(|estimate| estimate.map_from_camera));
    let evaluation = Evaluation {
        name: format!("{} fused (causal)", alone.name),
        provenance: alone.provenance.clone(),
        baselines: vec![
            Baseline { name: alone.name.clone(), poses: poses.collect() },
            Baseline { name: format!("{} with the true motion (oracle)", alone.name), poses: bound },
        ],
        training_path: alone.training_path.clone(),
        ..Evaluation::default()
    };
    let metrics = evaluation.write_all(folder, &estimates)?;
    let nees = write_pictures(folder, results, &estimates)?;
    let frames = dataset.frames();
    let steps = test.windows(2).filter(|pair| pair[0] + 1 == pair[1]);
    let periods = steps.map(|pair| frames[pair[1]].stamp.seconds_since(frames[pair[0]].stamp)).collect();
    let correlation_time = true_correlation_time(config.correlation_time, periods, nees);
    Ok(Fused { metrics, correlation_time, results: estimates })
}

/// Whether a test frame comes right behind the one before it.
fn goes_on(frames: &[FrameInfo], before: Option<usize>, index: usize) -> bool {
    before.is_some_and(|before| before + 1 == index && frames[before].sequence == frames[index].sequence)
}

/// The mean of all answers of a block up to each frame, moved to it by the true motion: what an odometry without any error
/// would make of them. It tells how much of their errors they have in common, which no fusion within a block takes away.
fn with_true_motion(frames: &[FrameInfo], test: &[usize], results: &[FrameResult]) -> Vec<Option<Se3>> {
    let (mut before, mut corrections, mut poses) = (None, None::<(Se3, f64)>, Vec::with_capacity(test.len()));
    for (&index, result) in test.iter().zip(results) {
        if !goes_on(frames, before, index) {
            corrections = None;
        }
        if let Some(answer) = &result.estimate {
            // How the map would have to move for the answer to be true: the same at all frames, were errors alike.
            let correction = answer.map_from_camera * result.truth.inverse();
            corrections = Some(corrections.map_or((correction, 1.0), |(mean, count)| {
                let count = count + 1.0;
                (mean.retract(&(mean.local(correction) / count)), count)
            }));
        }
        poses.push(corrections.map(|(mean, _)| mean * result.truth));
        before = Some(index);
    }
    poses
}

/// The estimate at each test frame; none where there is nothing honest to say.
fn estimates(
    (frames, test): (&[FrameInfo], &[usize]),
    answers: &[FrameResult],
    motions: &[Option<RelativePose>],
    config: &EstimatorConfig,
) -> Result<Vec<FrameResult>> {
    let mut before: Option<usize> = None;
    let mut estimator = Estimator::new(config.clone())?;
    let mut fused = Vec::with_capacity(test.len());
    for ((&index, answer), motion) in test.iter().zip(answers).zip(motions) {
        let frame = &frames[index];
        let goes_on = goes_on(frames, before, index);
        if !goes_on {
            estimator = Estimator::new(config.clone())?;
            // The base is the camera: a dataset knows no robot.
            estimator.set_mounting(Mounting { base_from_camera: Se3::identity(), base_from_imu: None });
        }
        if let Some(motion) = motion.as_ref().filter(|_| goes_on) {
            estimator.add_relative(motion)?;
        }
        if let Some(absolute) = &answer.estimate {
            estimator.add_absolute(absolute)?;
        }
        let estimate = estimator.step()?.filter(|estimate| estimate.stamp == frame.stamp);
        fused.push(FrameResult {
            name: frame.name.clone(),
            stamp: frame.stamp,
            truth: frame.map_from_camera,
            estimate: estimate.map(|estimate| AbsolutePose {
                stamp: frame.stamp,
                map_from_camera: estimate.map_from_base,
                covariance: estimate.covariance.matrix(),
            }),
        });
        before = Some(index);
    }
    Ok(fused)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Stamp;
    use crate::geometry::{Matrix6, So3};
    use nalgebra::Vector3;

    fn pose(index: usize) -> Se3 {
        Se3::new(So3::identity(), Vector3::new(0.1 * index as f64, 0.0, 0.0))
    }

    fn covariance() -> Matrix6 {
        Matrix6::identity() * 1e-4
    }

    fn answer(frame: &FrameInfo) -> FrameResult {
        let FrameInfo { stamp, map_from_camera, .. } = *frame;
        let estimate = Some(AbsolutePose { stamp, map_from_camera, covariance: covariance() });
        FrameResult { name: frame.name.clone(), stamp, truth: map_from_camera, estimate }
    }

    fn motion(before: &FrameInfo, frame: &FrameInfo) -> RelativePose {
        let previous_from_current = before.map_from_camera.inverse() * frame.map_from_camera;
        RelativePose {
            previous_stamp: before.stamp,
            stamp: frame.stamp,
            previous_from_current,
            covariance: covariance(),
        }
    }

    #[test]
    fn the_true_motion_takes_away_what_answers_do_not_have_in_common() {
        let frame = |index: usize| FrameInfo {
            name: index.to_string(),
            stamp: Stamp::from_seconds(0.1 * index as f64).unwrap(),
            sequence: 0,
            map_from_camera: pose(index),
        };
        let frames: Vec<FrameInfo> = (0..30).map(frame).collect();
        let test: Vec<usize> = (0..10).chain(20..30).collect();
        // One block is off by 0.3 m all along and by 0.2 m to either side, the other to either side alone.
        let answer = |&index: &usize| {
            let side = if index % 2 == 0 { 0.2 } else { -0.2 };
            let error = Vector3::new(0.0, side, if index < 10 { 0.3 } else { 0.0 });
            let map_from_camera = Se3::new(So3::identity(), pose(index).translation + error);
            let estimate = (index != 25).then(|| AbsolutePose {
                stamp: frames[index].stamp,
                map_from_camera,
                covariance: Matrix6::identity(),
            });
            let FrameInfo { name, stamp, map_from_camera: truth, .. } = frames[index].clone();
            FrameResult { name, stamp, truth, estimate }
        };
        let results: Vec<FrameResult> = test.iter().map(answer).collect();
        let bound = with_true_motion(&frames, &test, &results);
        let error = |place: usize| (bound[place].unwrap().translation - results[place].truth.translation).norm();
        assert!((error(0) - 0.3_f64.hypot(0.2)).abs() < 1e-12 && (error(9) - 0.3).abs() < 1e-12, "{}", error(9));
        assert!((error(10) - 0.2).abs() < 1e-12 && error(13) < 1e-12 && error(15) < 0.2 / 4.0, "{}", error(15));
    }

    #[test]
    fn it_starts_from_nothing_wherever_frames_are_not_consecutive() {
        let frame = |index: usize| FrameInfo {
            name: index.to_string(),
            stamp: Stamp::from_seconds(100.0 + 0.1 * index as f64).unwrap(),
            sequence: usize::from(index >= 9),
            map_from_camera: pose(index),
        };
        let frames: Vec<FrameInfo> = (0..12).map(frame).collect();
        let test = [0, 1, 2, 5, 6, 7, 8, 9, 10];
        let mut answers: Vec<FrameResult> = test.iter().map(|&index| answer(&frames[index])).collect();
        answers[5].estimate = None;
        let measured = test.windows(2).map(|pair| Some(motion(&frames[pair[0]], &frames[pair[1]])));
        let mut motions: Vec<Option<RelativePose>> = std::iter::once(None).chain(measured).collect();
        let answered = |motions: &[Option<RelativePose>]| {
            let fused = estimates((&frames, &test), &answers, motions, &EstimatorConfig::default()).unwrap();
            fused.into_iter().map(|frame| frame.estimate.is_some()).collect::<Vec<bool>>()
        };
        let with_motion = answered(&motions);
        assert_eq!(with_motion, [false, true, true, false, true, true, true, false, true], "a gap is crossed");
        motions[5] = None;
        let without = answered(&motions);
        assert_eq!(without, [false, true, true, false, true, false, true, false, true]);
        let fused = estimates((&frames, &test), &answers, &motions, &EstimatorConfig::default()).unwrap();
        for frame in fused.iter().filter(|frame| frame.estimate.is_some()) {
            // Where nothing measured the motion, the robot is expected to stay.
            assert!(frame.error().translation < 0.01, "{frame:?}");
        }
    }
}
