//! The two losses of a batch of pairs: of the odometry stream, and of the absolute poses.

use rayon::prelude::*;
use tch::nn::{Path, VarStore};
use tch::{Kind, Tensor};

use super::config::{Consistency, TrainingConfig, Weighting};
use super::frustum::Frustum;
use crate::geometry::Se3;
use crate::loss::{
    ConsistencyGradient, PoseErrors, PoseWeights, expected_squared_offset, geometric_consistency_loss,
    log_consistency_loss, nearest_anchor_cross_entropy, nll_loss, output_errors, overlap_loss, relative_pose,
};
use crate::network::{
    Features, History, MapFromNormalized, NetworkConfig, OdometryStream, PoseNetwork, PoseOutput, PoseTensor,
    RotationOutput, Temporal,
};

/// Share of rows that see no previous pose in training, where the architecture takes one.
const NO_HISTORY: f64 = 0.25;

/// True poses of a batch, in the network's units.
pub(super) struct Truth {
    previous: PoseTensor,
    current: PoseTensor,
    overlaps_bb: Option<Tensor>,
}

impl Truth {
    pub(super) fn new(previous: &[Se3], current: &[Se3], units: &MapFromNormalized, device: tch::Device) -> Self {
        let tensor = |poses| PoseTensor::from_poses(poses, units, device);
        Self { previous: tensor(previous), current: tensor(current), overlaps_bb: None }
    }

    /// The same with the overlap of every two of the frames, the earlier ones first.
    pub(super) fn with_overlaps(self, frustum: &Frustum, frames: &[Se3], device: tch::Device) -> Self {
        let overlap = |a: &Se3| frames.iter().map(|b| frustum.overlap(*a, *b) as f32).collect::<Vec<f32>>();
        let overlaps: Vec<f32> = frames.par_iter().flat_map_iter(overlap).collect();
        let rows = frames.len() as i64;
        Self { overlaps_bb: Some(Tensor::from_slice(&overlaps).view([rows, rows]).to_device(device)), ..self }
    }
}

/// The losses with their learned weights.
pub(super) struct Objective {
    absolute: PoseWeights,
    consistency: PoseWeights,
    odometry: PoseWeights,
    settings: TrainingConfig,
    rotation: RotationOutput,
    with_history: bool,
}

impl Objective {
    /// The learned weights under `path`: `absolute`, `consistency` and `odometry`.
    pub(super) fn new(path: &Path, config: &TrainingConfig, network: &NetworkConfig) -> Self {
        let weights = |name: &str| match config.weighting {
            Weighting::Learned => PoseWeights::learned(&(path / name), 0.0, -3.0),
            Weighting::Fixed { beta } => PoseWeights::Fixed { beta },
        };
        Self {
            absolute: weights("absolute"),
            consistency: weights("consistency"),
            odometry: weights("odometry"),
            settings: config.clone(),
            rotation: network.rotation,
            with_history: network.temporal != Temporal::None,
        }
    }

    /// Whether the pose step owns this learned weight; else the odometry step does.
    pub(super) fn belongs_to_pose(name: &str) -> bool {
        !name.starts_with("odometry")
    }

    /// The loss of the odometry stream: the motion of each pair; zero for a network without one.
    pub(super) fn odometry(&self, network: &PoseNetwork, shared: &Features, truth: &Truth) -> Tensor {
        let Some(stream) = network.odometry() else {
            return Tensor::zeros([], (Kind::Float, shared.last().device()));
        };
        let features = stream.features(shared, true);
        let half = features.size()[0] / 2;
        let output = stream.relative(&features.narrow(0, 0, half), &features.narrow(0, half, half), true);
        let motion = relative_pose(&truth.previous, &truth.current);
        self.likely(&output, &motion) + self.odometry.apply(&self.errors(&output, &motion))
    }

    /// The loss of what a network answers with: the absolute poses of both frames of each pair, with the auxiliary heads
    /// and the consistency, or how the frames of each pair are seen from each other.
    pub(super) fn pose(&self, network: &PoseNetwork, shared: &Features, truth: &Truth) -> Tensor {
        if let Some(stream) = network.relative() {
            return self.relative(stream, shared, truth);
        }
        let half = shared.last().size()[0] / 2;
        let frames = [shared.narrow(0, half), shared.narrow(half, half)];
        let Some([previous, current]) = self.absolute_outputs(network, &frames) else {
            return Tensor::zeros([], (Kind::Float, shared.last().device()));
        };
        let loss_of = |output: &PoseOutput, truth: &PoseTensor| {
            let loss = self.likely(output, truth) + self.absolute.apply(&self.errors(output, truth));
            match output.anchored() {
                None => loss,
                Some(anchored) => {
                    loss + nearest_anchor_cross_entropy(anchored, &truth.translation_b3) * self.settings.anchor_weight
                }
            }
        };
        let mut loss = (loss_of(&previous, &truth.previous) + loss_of(&current, &truth.current)) * 0.5;
        for (frames, truth) in frames.iter().zip([&truth.previous, &truth.current]) {
            for output in network.auxiliary(frames) {
                loss += self.absolute.apply(&self.errors(&output, truth)) * (0.5 * self.settings.auxiliary_weight);
            }
        }
        if self.settings.consistency_weight > 0.0 {
            let errors = self.consistency_errors([previous.pose(), current.pose()], truth);
            loss += self.consistency.apply(&errors) * self.settings.consistency_weight;
        }
        loss
    }

    /// The loss of a pair regressor, whose pairs are taken in both directions, and of its vectors against the overlaps.
    fn relative(&self, stream: &OdometryStream, shared: &Features, truth: &Truth) -> Tensor {
        let features = stream.features(shared, true);
        let half = features.size()[0] / 2;
        let (a, b) = (features.narrow(0, 0, half), features.narrow(0, half, half));
        let output = stream.relative(&features, &Tensor::cat(&[b, a], 0), true);
        let motion =
            joined(&relative_pose(&truth.previous, &truth.current), &relative_pose(&truth.current, &truth.previous));
        let loss = self.likely(&output, &motion) + self.absolute.apply(&self.errors(&output, &motion));
        match &truth.overlaps_bb {
            Some(overlaps) => loss + overlap_loss(&stream.embedding(&features), overlaps) * self.settings.metric_weight,
            None => loss,
        }
    }

    fn errors(&self, output: &PoseOutput, truth: &PoseTensor) -> PoseErrors {
        let errors = output_errors(output, truth, self.rotation, self.settings.norm);
        match output.anchored() {
            None => errors,
            Some(anchored) => {
                PoseErrors { translation: expected_squared_offset(anchored, &truth.translation_b3), ..errors }
            }
        }
    }

    fn consistency_errors(&self, [previous, current]: [&PoseTensor; 2], truth: &Truth) -> PoseErrors {
        let norm = self.settings.norm;
        match self.settings.consistency {
            Consistency::Motion => {
                let gradient = ConsistencyGradient::Both;
                geometric_consistency_loss(previous, current, &truth.previous, &truth.current, gradient, norm)
            }
            Consistency::Differences => {
                log_consistency_loss([previous, current], [&truth.previous, &truth.current], norm)
            }
        }
    }

    /// The outputs of the earlier and the later frames; the later ones may know what was said of the earlier.
    fn absolute_outputs(&self, network: &PoseNetwork, [previous, current]: &[Features; 2]) -> Option<[PoseOutput; 2]> {
        let previous = network.absolute(previous, &History::none(), true)?;
        let history = match self.with_history {
            true => {
                let features = current.last();
                let keep = Tensor::rand([features.size()[0], 1], (Kind::Float, features.device())).gt(NO_HISTORY);
                History::of(&previous).keep(&keep.to_kind(Kind::Float))
            }
            false => History::none(),
        };
        let current = network.absolute(current, &history, true)?;
        Some([previous, current])
    }

    fn likely(&self, output: &PoseOutput, truth: &PoseTensor) -> Tensor {
        match output.log_variance_b6() {
            Some(log_variance) => nll_loss(output.pose(), log_variance, truth, true) * self.settings.variance_weight,
            None => Tensor::zeros([], (Kind::Float, output.rotation_bn().device())),
        }
    }
}

/// The rows of one below those of the other.
fn joined(first: &PoseTensor, second: &PoseTensor) -> PoseTensor {
    PoseTensor {
        translation_b3: Tensor::cat(&[&first.translation_b3, &second.translation_b3], 0),
        quaternion_b4: Tensor::cat(&[&first.quaternion_b4, &second.quaternion_b4], 0),
    }
}

/// The variables of a store that learn, with their names, sorted.
pub(super) fn learning(store: &VarStore) -> Vec<(String, Tensor)> {
    let mut variables: Vec<_> =
        store.variables().into_iter().filter(|(_, variable)| variable.requires_grad()).collect();
    variables.sort_by(|a, b| a.0.cmp(&b.0));
    variables
}
