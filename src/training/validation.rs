//! How far off a network is on frames it does not train on.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::geometry::Se3;
use crate::network::{Features, History, MapFromNormalized, PoseNetwork};
use crate::{Error, Result};

/// Frames per forward pass.
const CHUNK: usize = 64;

/// Errors of absolute poses without a history and without dropout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValidationErrors {
    /// Frames.
    pub frames: usize,
    /// Median error of the position, metres.
    pub median_translation: f64,
    /// Median error of the orientation, radians.
    pub median_rotation: f64,
    /// What more there is to say of several scenes; absent of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenes: Option<SceneErrors>,
}

/// How far off a network is on the frames of several scenes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SceneErrors {
    /// Share of the frames whose scene is told right.
    pub recognized: f64,
    /// The mean over the scenes of their scores, and the share of the frames whose scene is told wrong.
    pub score: f64,
}

impl ValidationErrors {
    /// Of pairs of an estimate and the truth; none without a pair.
    pub fn of(pairs: &[(Se3, Se3)]) -> Option<Self> {
        Self::of_answers(pairs, 0)
    }

    /// The same with so many frames more that have no answer: these are infinitely wrong.
    pub(super) fn of_answers(pairs: &[(Se3, Se3)], unanswered: usize) -> Option<Self> {
        let frames = pairs.len() + unanswered;
        let median = |error: &dyn Fn(&(Se3, Se3)) -> f64| {
            let mut errors: Vec<f64> = pairs.iter().map(error).collect();
            errors.sort_by(f64::total_cmp);
            (frames > 0).then(|| errors.get(frames / 2).copied().unwrap_or(f64::INFINITY))
        };
        Some(Self {
            frames,
            scenes: None,
            median_translation: median(&|(a, b)| (a.translation - b.translation).norm())?,
            median_rotation: median(&|(a, b)| (a.rotation.inverse() * b.rotation).angle())?,
        })
    }

    /// Over the frames of all scenes, whose poses count in their true scenes; none without a frame.
    pub(super) fn of_scenes(answers: &[SceneAnswers]) -> Option<Self> {
        let all: Vec<(Se3, Se3)> = answers.iter().flat_map(|of_scene| of_scene.pairs.iter().copied()).collect();
        let score = |of_scene: &SceneAnswers| Some(Self::of(&of_scene.pairs)?.score(&of_scene.units));
        let scores: Vec<f64> = answers.iter().filter_map(score).collect();
        let errors = Self::of(&all)?;
        let recognized = answers.iter().map(|of_scene| of_scene.recognized).sum::<usize>() as f64 / all.len() as f64;
        let score = scores.iter().sum::<f64>() / scores.len() as f64 + (1.0 - recognized);
        Some(Self { scenes: Some(SceneErrors { recognized, score }), ..errors })
    }

    /// What early stopping compares: normalized units plus radians, the sum that the losses weigh; of several scenes
    /// [`SceneErrors::score`].
    pub fn score(&self, units: &MapFromNormalized) -> f64 {
        match self.scenes {
            Some(scenes) => scenes.score,
            None => self.median_translation / units.scale + self.median_rotation,
        }
    }
}

/// What a network says of the validation frames of a scene, and what is true.
pub(super) struct SceneAnswers {
    /// Poses in the scene, whatever scene the network takes the frame for.
    pairs: Vec<(Se3, Se3)>,
    /// Frames that it takes for those of the scene.
    recognized: usize,
    units: MapFromNormalized,
}

/// Errors over `truth`, with `input` giving the tensor of rows `start..end`: what the network sees, or shared features where
/// `shared` says so.
///
/// # Errors
/// [`Error::Compute`] when a pose is not finite or the network gives none of a single frame, and what `input` says.
pub fn validate(
    network: &PoseNetwork,
    units: &MapFromNormalized,
    truth: &[Se3],
    shared: bool,
    input: &dyn Fn(std::ops::Range<usize>) -> Result<Tensor>,
) -> Result<Option<ValidationErrors>> {
    Ok(ValidationErrors::of(&answers(network, units, truth, (shared, None), input)?.pairs))
}

/// The answers to `truth` in the scene of this number, where there are several; the rest as of [`validate`].
///
/// # Errors
/// As [`validate`].
pub(super) fn answers(
    network: &PoseNetwork,
    units: &MapFromNormalized,
    truth: &[Se3],
    (shared, scene): (bool, Option<usize>),
    input: &dyn Fn(std::ops::Range<usize>) -> Result<Tensor>,
) -> Result<SceneAnswers> {
    let (mut pairs, mut recognized) = (Vec::with_capacity(truth.len()), 0);
    for start in (0..truth.len()).step_by(CHUNK) {
        let rows = start..(start + CHUNK).min(truth.len());
        let input = input(rows.clone())?;
        let scenes = scene.map(|scene| Tensor::full([rows.len() as i64], scene as i64, (Kind::Int64, input.device())));
        let output = tch::no_grad(|| {
            let features = if shared { Features::of_last(input) } else { network.shared(&input, false) };
            network.absolute_in(&features, scenes.as_ref(), &History::none(), false)
        });
        let output =
            output.ok_or_else(|| Error::compute("validation", "a network that compares frames needs a gallery"))?;
        if let (Some(log_probability), Some(scenes)) = (output.scenes_bs(), &scenes) {
            let told_right = log_probability.argmax(1, false).eq_tensor(scenes);
            recognized += told_right.sum(Kind::Int64).int64_value(&[]) as usize;
        }
        pairs.extend(output.pose().to_poses(units)?.into_iter().zip(truth[rows].iter().copied()));
    }
    Ok(SceneAnswers { pairs, recognized, units: *units })
}
