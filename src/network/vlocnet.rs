//! VLocNet (Valada, Radwan & Burgard 2018, arXiv 1803.03642): one network for where the camera is and how it moved.
//!
//! ```text
//! frame ── trunk: stem, Res2, Res3 (shared) ─┬─ global:   Res4 ─ (+ previous pose) ─ Res5 ─ localizer ─ absolute pose
//! frame before ── the same trunk ────────────┴─ odometry: Res4 of both frames, joined ─ Res5 ─ localizer ─ relative pose
//! ```
//!
//! Where it differs from the paper: both frames pass the *same* trunk and odometry Res4 (siamese), so that each frame
//! is computed once and its features wait for the next; the paper gives the earlier frame weights of its own. Both
//! streams also predict log-variances. With the SqueezeNet trunk the streams have no stages of their own.
//!
//! Parameter names are `trunk.`, `global.` or `odometry.`, then torchvision's (`trunk.layer1.0.conv1.weight`).
//!
//! The previous pose (off by default) enters the global stream as a [`History`], which only an output of the network
//! can fill:
//!
//! ```compile_fail,E0451
//! use vloc::network::{PoseOutput, PoseTensor};
//! fn from_ground_truth(pose: PoseTensor, log_variance_b6: tch::Tensor) -> PoseOutput {
//!     PoseOutput { pose, log_variance_b6 } // private fields: no pose of a dataset becomes a history
//! }
//! ```

use tch::nn::{self, ModuleT, Path};
use tch::{Kind, Tensor};

use super::config::{NetworkConfig, PreviousPose, TrunkConfig};
use super::localizer::{Localizer, PoseOutput};
use super::pose_tensor::PoseTensor;
use super::resnet::{ResNet, Stage};
use super::squeezenet::SqueezeNet;
use crate::Result;

#[derive(Debug)]
enum Trunk {
    ResNet(ResNet),
    SqueezeNet(SqueezeNet),
}

/// The previous pose per row of a batch, or that there is none. Made from outputs of the network alone.
#[derive(Debug, Default)]
pub struct History {
    /// Normalized translation and quaternion (w >= 0), and whether the row has one (0 or 1).
    previous: Option<(Tensor, Tensor)>,
}

impl History {
    /// No row has a previous pose.
    pub fn none() -> Self {
        Self::default()
    }

    /// What the network said of the frame before, without its gradient.
    pub fn of(output: &PoseOutput) -> Self {
        Self::of_pose(&output.pose().detach())
    }

    /// The same of the first row alone, behind which inference has its samples.
    pub(super) fn of_first(output: &PoseOutput) -> Self {
        Self::of_pose(&output.pose().narrow(0, 1))
    }

    fn of_pose(pose: &PoseTensor) -> Self {
        let positive = pose.quaternion_b4.narrow(1, 0, 1).ge(0.0).to_kind(Kind::Float) * 2.0 - 1.0;
        let pose_b7 = Tensor::cat(&[&pose.translation_b3, &(&pose.quaternion_b4 * positive)], 1);
        let known_b1 = pose_b7.narrow(1, 0, 1).ones_like();
        Self { previous: Some((pose_b7, known_b1)) }
    }

    /// The same where `keep_b1` is 1, no previous pose where it is 0: training sees both.
    pub fn keep(self, keep_b1: &Tensor) -> Self {
        Self { previous: self.previous.map(|(pose_b7, known_b1)| (pose_b7, known_b1 * keep_b1)) }
    }
}

/// Joins the previous pose to the features: a fully connected layer 7 -> C·H·W, ELU, concatenation.
#[derive(Debug)]
struct PreviousPoseFusion {
    fc: nn::Linear,
    no_history: Tensor,
    size_chw: [i64; 3],
}

impl PreviousPoseFusion {
    fn new(path: &Path, size_chw: [i64; 3]) -> Self {
        let fc = nn::linear(path / "fc", 7, size_chw.iter().product(), Default::default());
        Self { fc, no_history: path.randn("no_history", &[1, 7], 0.0, 0.1), size_chw }
    }

    fn forward(&self, features_bchw: &Tensor, history: &History) -> Tensor {
        let rows = features_bchw.size()[0];
        let pose_b7 = match &history.previous {
            Some((pose_b7, known_b1)) => pose_b7 * known_b1 + &self.no_history * (1.0 - known_b1),
            None => self.no_history.expand([rows, 7], false),
        };
        let [channels, height, width] = self.size_chw;
        let map = pose_b7.apply(&self.fc).elu().view([rows, channels, height, width]);
        Tensor::cat(&[features_bchw, &map], 1)
    }
}

#[derive(Debug)]
struct GlobalStream {
    layer3: Option<Stage>,
    previous_pose: Option<PreviousPoseFusion>,
    layer4: Option<Stage>,
    localizer: Localizer,
}

#[derive(Debug)]
struct OdometryStream {
    layer3: Option<Stage>,
    layer4: Option<Stage>,
    localizer: Localizer,
}

/// The network. See the module documentation.
#[derive(Debug)]
pub struct VLocNet {
    trunk: Trunk,
    global: GlobalStream,
    odometry: OdometryStream,
}

impl VLocNet {
    /// The network with random weights, its parameters under `path`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) when the configuration is out of range.
    pub fn new(path: &Path, config: &NetworkConfig) -> Result<Self> {
        config.check()?;
        let (global, odometry) = (path / "global", path / "odometry");
        let fusion_size = config.fusion_size();
        let previous_pose = (config.previous_pose == PreviousPose::OwnOutput)
            .then(|| PreviousPoseFusion::new(&(&global / "previous_pose"), fusion_size));
        let joined = fusion_size[0] * if previous_pose.is_some() { 2 } else { 1 };
        let trunk_path = path / "trunk";
        let stage = |path: &Path, stage: usize, channels_in: i64| match &config.trunk {
            TrunkConfig::Resnet { shape } => {
                Some(Stage::new(&(path / format!("layer{stage}")), shape, stage, channels_in))
            }
            TrunkConfig::Squeezenet => None,
        };
        let (trunk, shared, last) = match &config.trunk {
            TrunkConfig::Resnet { shape } => {
                (Trunk::ResNet(ResNet::new(&trunk_path, shape, 2)), shape.channels(2), Some(shape.channels(4)))
            }
            TrunkConfig::Squeezenet => (Trunk::SqueezeNet(SqueezeNet::new(&trunk_path)), SqueezeNet::CHANNELS, None),
        };
        let both = 2 * fusion_size[0];
        Ok(Self {
            trunk,
            global: GlobalStream {
                layer3: stage(&global, 3, shared),
                previous_pose,
                layer4: stage(&global, 4, joined),
                localizer: Localizer::new(&global, last.unwrap_or(joined), config),
            },
            odometry: OdometryStream {
                layer3: stage(&odometry, 3, shared),
                layer4: stage(&odometry, 4, both),
                localizer: Localizer::new(&odometry, last.unwrap_or(both), config),
            },
        })
    }

    /// Normalized colours `b3hw` to the features that both streams share.
    pub fn shared(&self, input_b3hw: &Tensor, train: bool) -> Tensor {
        match &self.trunk {
            Trunk::ResNet(trunk) => trunk.forward_t(input_b3hw, train),
            Trunk::SqueezeNet(trunk) => trunk.forward_t(input_b3hw, train),
        }
    }

    /// Absolute poses of the frames whose shared features these are.
    pub fn absolute(&self, shared_bchw: &Tensor, history: &History, train: bool) -> PoseOutput {
        self.global.localizer.forward(&self.global_features(shared_bchw, history, train), train)
    }

    /// What the odometry stream keeps of a frame until the next comes.
    pub fn odometry_features(&self, shared_bchw: &Tensor, train: bool) -> Tensor {
        optional(&self.odometry.layer3, shared_bchw, train)
    }

    /// Poses of the current frames in the axes of the previous ones, from [`VLocNet::odometry_features`] of each.
    pub fn relative(&self, previous_bchw: &Tensor, current_bchw: &Tensor, train: bool) -> PoseOutput {
        self.odometry.localizer.forward(&self.joined_features(previous_bchw, current_bchw, train), train)
    }

    pub(super) fn global_features(&self, shared_bchw: &Tensor, history: &History, train: bool) -> Tensor {
        let features = optional(&self.global.layer3, shared_bchw, train);
        let features = match &self.global.previous_pose {
            Some(fusion) => fusion.forward(&features, history),
            None => features,
        };
        optional(&self.global.layer4, &features, train)
    }

    pub(super) fn joined_features(&self, previous_bchw: &Tensor, current_bchw: &Tensor, train: bool) -> Tensor {
        optional(&self.odometry.layer4, &Tensor::cat(&[previous_bchw, current_bchw], 1), train)
    }

    pub(super) fn global_localizer(&self) -> &Localizer {
        &self.global.localizer
    }

    pub(super) fn odometry_localizer(&self) -> &Localizer {
        &self.odometry.localizer
    }
}

fn optional(stage: &Option<Stage>, features: &Tensor, train: bool) -> Tensor {
    stage.as_ref().map_or_else(|| features.shallow_clone(), |stage| stage.forward_t(features, train))
}
