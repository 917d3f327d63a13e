//! Poses of few points, and those of them that most points agree with.

use rand::seq::index;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rayon::prelude::*;

use super::PnpConfig;
use super::p3p::{CameraFromMap, p3p};
use super::view::View;
use crate::geometry::Se3;

/// Draws of four points for one hypothesis, at most.
const MAX_DRAWS: usize = 200;
/// Hypotheses that are made before it is asked whether they are enough.
const BATCH: usize = 16;
/// Points that say how good the best hypothesis of a batch is.
const SAMPLE: usize = 200;
/// Points that all remaining hypotheses are judged by before the worse half goes.
const BLOCK: usize = 100;
/// Hypotheses that are left in the end.
const FINALISTS: usize = 4;
/// A rival of an expected pose has so many times its share of the points; what a draw finds of it, so many times at least.
const RIVAL: f64 = 2.0;
const CLEARLY: f64 = 1.5;
/// How sure it must be that one draw had inliers only.
const CONFIDENCE: f64 = 0.9999;

/// The best hypotheses by the soft score, best first; `expected` is one of those that compete.
pub(super) fn finalists(view: &View, config: &PnpConfig, expected: Option<&Se3>, seed: u64) -> Vec<CameraFromMap> {
    let mut all: Vec<CameraFromMap> = expected.map(camera_from_map).into_iter().collect();
    let (mut draws, mut best) = (0, 0.0);
    for batch in 0..config.max_hypotheses.div_ceil(BATCH) {
        if enough(draws, best) {
            break;
        }
        let size = BATCH.min(config.max_hypotheses - batch * BATCH);
        let made: Vec<_> = (0..size)
            .into_par_iter()
            .map(|at| draw(view, config.inlier_threshold, seed, (batch * BATCH + at) as u64))
            .collect();
        draws += made.iter().map(|(tries, _)| tries).sum::<usize>();
        all.extend(made.into_iter().filter_map(|(_, pose)| pose));
        let sample = view.len().min(SAMPLE);
        let share = |pose: &CameraFromMap| view.score(0..sample, pose, config.inlier_threshold) / sample as f64;
        best = all.iter().map(share).fold(0.0, f64::max);
    }
    preempt(view, all, config.inlier_threshold)
}

/// Whether a pose that is far better than `known` turns up among draws of which one would be of its inliers alone, if twice as
/// many points agreed with it.
pub(super) fn has_rival(view: &View, config: &PnpConfig, known: &Se3, seed: u64) -> bool {
    let sample = view.len().min(SAMPLE);
    let share = |pose: &CameraFromMap| view.score(0..sample, pose, config.inlier_threshold) / sample as f64;
    let known = share(&camera_from_map(known));
    let mut draws = 0;
    for stream in 0..config.max_hypotheses {
        if enough(draws, (RIVAL * known).min(1.0)) {
            break;
        }
        let (tries, pose) = draw(view, config.inlier_threshold, seed, stream as u64);
        if pose.is_some_and(|pose| share(&pose) > CLEARLY * known) {
            return true;
        }
        draws += tries;
    }
    false
}

/// Whether so many draws of four had one without an outlier, when `share` of the points agree with the best pose.
fn enough(draws: usize, share: f64) -> bool {
    let all_good = share.powi(4);
    draws > 0 && (1.0 - all_good).powi(draws.min(1 << 30) as i32) <= 1.0 - CONFIDENCE
}

/// Draws until three points have a pose that a fourth agrees with; how often, and the pose.
fn draw(view: &View, threshold: f64, seed: u64, stream: u64) -> (usize, Option<CameraFromMap>) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(stream);
    for tries in 1..=MAX_DRAWS {
        let chosen = index::sample(&mut random, view.len(), 4);
        let three = [chosen.index(0), chosen.index(1), chosen.index(2)];
        let fourth = chosen.index(3);
        let poses = p3p(&three.map(|at| view.ray(at)), &three.map(|at| view.point(at)));
        let nearest = poses
            .into_iter()
            .map(|pose| (view.squared_distance(fourth, &pose), pose))
            .min_by(|one, other| one.0.total_cmp(&other.0));
        if let Some((distance, pose)) = nearest
            && distance < threshold * threshold
        {
            return (tries, Some(pose));
        }
    }
    (MAX_DRAWS, None)
}

/// Judges block by block, and after each block keeps the better half (Nistér 2003, section 3, with f(i) halved per block).
fn preempt(view: &View, poses: Vec<CameraFromMap>, threshold: f64) -> Vec<CameraFromMap> {
    let mut scored: Vec<(f64, CameraFromMap)> = poses.into_iter().map(|pose| (0.0, pose)).collect();
    for start in (0..view.len()).step_by(BLOCK) {
        if scored.len() <= FINALISTS {
            break;
        }
        let block = start..(start + BLOCK).min(view.len());
        for (score, pose) in &mut scored {
            *score += view.score(block.clone(), pose, threshold);
        }
        scored.sort_by(|one, other| other.0.total_cmp(&one.0));
        scored.truncate(scored.len().div_ceil(2).max(FINALISTS));
    }
    scored.truncate(FINALISTS);
    scored.into_iter().map(|(_, pose)| pose).collect()
}

/// The pose as the search needs it.
pub(super) fn camera_from_map(map_from_camera: &Se3) -> CameraFromMap {
    let inverse = map_from_camera.inverse();
    CameraFromMap { rotation: inverse.rotation.matrix(), translation: inverse.translation }
}
