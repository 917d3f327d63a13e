//! The two losses of a batch of pairs: of the odometry stream, and of the absolute poses.

use tch::nn::{Path, VarStore};
use tch::{Kind, Tensor};

use super::config::TrainingConfig;
use crate::Result;
use crate::geometry::Se3;
use crate::loss::{ConsistencyGradient, PoseWeights, geometric_consistency_loss, nll_loss, pose_errors, relative_pose};
use crate::network::{History, MapFromNormalized, NetworkConfig, PoseOutput, PoseTensor, PreviousPose, VLocNet};

/// Share of rows that see no previous pose in training, where the architecture takes one.
const NO_HISTORY: f64 = 0.25;

/// True poses of a batch, in the network's units.
pub(super) struct Truth {
    previous: PoseTensor,
    current: PoseTensor,
}

impl Truth {
    pub(super) fn new(previous: &[Se3], current: &[Se3], units: &MapFromNormalized, device: tch::Device) -> Self {
        let tensor = |poses| PoseTensor::from_poses(poses, units, device);
        Self { previous: tensor(previous), current: tensor(current) }
    }
}

/// The losses with their learned weights.
pub(super) struct Objective {
    absolute: PoseWeights,
    consistency: PoseWeights,
    odometry: PoseWeights,
    settings: TrainingConfig,
    with_history: bool,
}

impl Objective {
    /// The learned weights under `path`: `absolute`, `consistency` and `odometry`.
    pub(super) fn new(path: &Path, config: &TrainingConfig, network: &NetworkConfig) -> Result<Self> {
        let weights = |name: &str| PoseWeights::new(&(path / name), 0.0, -3.0);
        Ok(Self {
            absolute: weights("absolute"),
            consistency: weights("consistency"),
            odometry: weights("odometry"),
            settings: config.clone(),
            with_history: network.previous_pose == PreviousPose::OwnOutput,
        })
    }

    /// Whether the pose step owns this learned weight; else the odometry step does.
    pub(super) fn belongs_to_pose(name: &str) -> bool {
        !name.starts_with("odometry")
    }

    /// The loss of the odometry stream: the motion of each pair.
    pub(super) fn odometry(&self, network: &VLocNet, shared: &Tensor, truth: &Truth) -> Tensor {
        let features = network.odometry_features(shared, true);
        let half = features.size()[0] / 2;
        let output = network.relative(&features.narrow(0, 0, half), &features.narrow(0, half, half), true);
        let motion = relative_pose(&truth.previous, &truth.current);
        self.likely(&output, &motion) + self.odometry.apply(&pose_errors(output.pose(), &motion, self.settings.norm))
    }

    /// The loss of the absolute poses of both frames of each pair, and of their consistency.
    pub(super) fn pose(&self, network: &VLocNet, shared: &Tensor, truth: &Truth) -> Tensor {
        let (previous, current) = self.absolute_outputs(network, shared);
        let norm = self.settings.norm;
        let loss_of = |output: &PoseOutput, truth: &PoseTensor| {
            self.likely(output, truth) + self.absolute.apply(&pose_errors(output.pose(), truth, norm))
        };
        let mut loss = (loss_of(&previous, &truth.previous) + loss_of(&current, &truth.current)) * 0.5;
        if self.settings.consistency_weight > 0.0 {
            let gradient = ConsistencyGradient::Both;
            let errors = geometric_consistency_loss(
                previous.pose(),
                current.pose(),
                &truth.previous,
                &truth.current,
                gradient,
                norm,
            );
            loss += self.consistency.apply(&errors) * self.settings.consistency_weight;
        }
        loss
    }

    /// The outputs of the earlier and the later frames; the later ones may know what was said of the earlier.
    fn absolute_outputs(&self, network: &VLocNet, shared: &Tensor) -> (PoseOutput, PoseOutput) {
        let half = shared.size()[0] / 2;
        let (previous, current) = (shared.narrow(0, 0, half), shared.narrow(0, half, half));
        let previous = network.absolute(&previous, &History::none(), true);
        let history = match self.with_history {
            true => {
                let keep = Tensor::rand([half, 1], (Kind::Float, shared.device())).gt(NO_HISTORY);
                History::of(&previous).keep(&keep.to_kind(Kind::Float))
            }
            false => History::none(),
        };
        let current = network.absolute(&current, &history, true);
        (previous, current)
    }

    fn likely(&self, output: &PoseOutput, truth: &PoseTensor) -> Tensor {
        nll_loss(output.pose(), output.log_variance_b6(), truth, true) * self.settings.variance_weight
    }
}

/// The variables of a store that learn, with their names, sorted.
pub(super) fn learning(store: &VarStore) -> Vec<(String, Tensor)> {
    let mut variables: Vec<_> =
        store.variables().into_iter().filter(|(_, variable)| variable.requires_grad()).collect();
    variables.sort_by(|a, b| a.0.cmp(&b.0));
    variables
}
