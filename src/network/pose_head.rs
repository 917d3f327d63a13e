//! From an image's vector to a pose with its log-variances: fully connected layers, then a head per quantity.
//!
//! Dropout stands behind each fully connected layer. Everything in front of the first is deterministic, so samples of
//! the dropout (Gal & Ghahramani 2016) cost one small batch: see [`PoseHead::embed`] and [`Dropout::Masks`].

use tch::nn::{self, Path};
use tch::{Kind, Tensor};

use super::anchors::{AnchorHead, Anchored};
use super::config::{Activation, AnchorsConfig, NetworkConfig, RotationOutput, Variance};
use super::pose_tensor::PoseTensor;
use super::temporal::Memory;

/// Which units of the fully connected layers are dropped.
#[derive(Clone, Copy, Debug)]
pub enum Dropout<'a> {
    /// None: the deterministic prediction.
    Off,
    /// Drawn anew from libtorch's generator: training.
    Random,
    /// By one mask `bh` per layer, as [`dropout_masks`](super::uncertainty::dropout_masks) draws them.
    Masks(&'a [Tensor]),
}

impl Dropout<'_> {
    /// `Random` in training, else `Off`.
    pub fn training(train: bool) -> Self {
        if train { Dropout::Random } else { Dropout::Off }
    }
}

/// What a stream says of a batch. Only the network makes it, so what is fed back as the previous pose is its own.
#[derive(Debug)]
pub struct PoseOutput {
    pose: PoseTensor,
    rotation_bn: Tensor,
    log_variance_b6: Option<Tensor>,
    memory: Option<Memory>,
    anchored: Option<Anchored>,
    scenes_bs: Option<Tensor>,
}

impl PoseOutput {
    /// The same with what the stream keeps for the frame that comes next.
    pub(super) fn with_memory(self, memory: Option<Memory>) -> Self {
        Self { memory, ..self }
    }

    /// The same with the logarithms of the probabilities of the scenes, `bs`.
    pub(super) fn with_scenes(self, log_probability_bs: Tensor) -> Self {
        Self { scenes_bs: Some(log_probability_bs), ..self }
    }

    /// That memory, where the network has one.
    pub(super) fn memory(&self) -> Option<&Memory> {
        self.memory.as_ref()
    }

    /// The poses, normalized, quaternions of unit length.
    pub fn pose(&self) -> &PoseTensor {
        &self.pose
    }

    /// What the orientation's head said, in the numbers of its [`RotationOutput`].
    pub fn rotation_bn(&self) -> &Tensor {
        &self.rotation_bn
    }

    /// What is behind the position of a network with anchor points.
    pub fn anchored(&self) -> Option<&Anchored> {
        self.anchored.as_ref()
    }

    /// Logarithms of the probabilities that the images show each scene, `bs`, of a network that knows scenes.
    pub fn scenes_bs(&self) -> Option<&Tensor> {
        self.scenes_bs.as_ref()
    }

    /// Logarithms of the variances of the right perturbation, `[translation (normalized units), rotation (rad)]`, where
    /// the network predicts them.
    pub fn log_variance_b6(&self) -> Option<&Tensor> {
        self.log_variance_b6.as_ref()
    }
}

/// What a head is built for.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadShape<'a> {
    /// Widths of the fully connected layers.
    pub(super) hidden: &'a [i64],
    /// Their nonlinearity.
    pub(super) activation: Activation,
    /// Probability to drop one of their units.
    pub(super) dropout: f64,
    /// What the orientation's head gives.
    pub(super) rotation: RotationOutput,
    /// Whether the position is relative to anchors.
    pub(super) anchors: Option<AnchorsConfig>,
    /// Whether variances are predicted.
    pub(super) variance: Variance,
}

impl<'a> HeadShape<'a> {
    /// As the configuration says.
    pub(super) fn of(config: &'a NetworkConfig) -> Self {
        let NetworkConfig { hidden, dropout, rotation, anchors, variance, .. } = config;
        let (dropout, rotation, anchors, variance) = (*dropout, *rotation, *anchors, *variance);
        Self { hidden, activation: config.activation(), dropout, rotation, anchors, variance }
    }
}

/// What gives the position.
#[derive(Debug)]
enum Position {
    Regressed(nn::Linear),
    Anchored(AnchorHead),
}

/// Fully connected layers and heads: one branch for everything, or one for the position and one for the orientation.
#[derive(Debug)]
pub(super) struct PoseHead {
    branches: Vec<Vec<nn::Linear>>,
    activation: Activation,
    dropout: f64,
    rotation: RotationOutput,
    position: Position,
    fc_rotation: nn::Linear,
    fc_log_variance: Option<nn::Linear>,
}

impl PoseHead {
    /// A head for vectors of these lengths, one per branch with the path of its layers; heads stand at the first.
    pub(super) fn new(branches: &[(Path, i64)], shape: HeadShape) -> Self {
        let layers = |(path, width): &(Path, i64)| -> Vec<nn::Linear> {
            let inputs = std::iter::once(*width).chain(shape.hidden.iter().copied());
            let sizes = inputs.zip(shape.hidden).zip(1..);
            let layer = |((from, &to), index): ((i64, &i64), i64)| {
                nn::linear(path / format!("fc{index}"), from, to, Default::default())
            };
            sizes.map(layer).collect()
        };
        let path = &branches[0].0;
        let branches: Vec<Vec<nn::Linear>> = branches.iter().map(layers).collect();
        let last = shape.hidden[shape.hidden.len() - 1];
        let head = |name: &str, inputs: i64, outputs, gain: f64| {
            let bound = gain / (inputs as f64).sqrt();
            let ws_init = nn::Init::Uniform { lo: -bound, up: bound };
            let head = nn::LinearConfig { ws_init, bs_init: Some(nn::Init::Const(0.0)), ..Default::default() };
            nn::linear(path / name, inputs, outputs, head)
        };
        let position = match shape.anchors {
            None => Position::Regressed(head("fc_xyz", last, 3, 1.0)),
            Some(AnchorsConfig { count }) => {
                Position::Anchored(AnchorHead::new(path, count, &|name, outputs| head(name, last, outputs, 1.0)))
            }
        };
        let fc_rotation = head(shape.rotation.head(), last, shape.rotation.width(), 1.0);
        if let Some(bias) = &fc_rotation.bs {
            // Near the identity rather than near the zero quaternion, which is no rotation.
            let identity = Tensor::from_slice(shape.rotation.identity()).to_device(bias.device());
            tch::no_grad(|| bias.shallow_clone().copy_(&identity));
        }
        let fc_log_variance = (shape.variance == Variance::Predicted)
            .then(|| head("fc_log_variance", last * branches.len() as i64, 6, 0.1));
        let HeadShape { activation, dropout, rotation, .. } = shape;
        Self { branches, activation, dropout, rotation, position, fc_rotation, fc_log_variance }
    }

    /// Puts the anchors of a head that has some to these normalized positions, `n3`.
    pub(super) fn place_anchors(&self, positions_n3: &Tensor) {
        if let Position::Anchored(anchors) = &self.position {
            anchors.place(positions_n3);
        }
    }

    /// One vector `bw` per branch to the first fully connected layers, side by side, `bh`: the last that is
    /// deterministic.
    pub(super) fn embed(&self, vectors: &[Tensor]) -> Tensor {
        let first = |(branch, vector): (&Vec<nn::Linear>, &Tensor)| self.activation.apply(&vector.apply(&branch[0]));
        Tensor::cat(&self.branches.iter().zip(vectors).map(first).collect::<Vec<_>>(), 1)
    }

    /// The embedding `bh` to poses and log-variances.
    pub(super) fn regress(&self, embedding_bh: &Tensor, dropout: Dropout) -> PoseOutput {
        let count = self.branches.len() as i64;
        let mut hidden = self.drop(embedding_bh, 0, dropout);
        for index in 1..self.branches[0].len() {
            let parts = hidden.chunk(count, 1);
            let next = |(branch, part): (&Vec<nn::Linear>, &Tensor)| self.activation.apply(&part.apply(&branch[index]));
            let parts: Vec<Tensor> = self.branches.iter().zip(&parts).map(next).collect();
            hidden = self.drop(&Tensor::cat(&parts, 1), index, dropout);
        }
        // The heads stay in single precision when the rest runs in half.
        let hidden = hidden.to_kind(Kind::Float);
        let parts = hidden.chunk(count, 1);
        tch::autocast(false, || {
            let rotation_bn = parts[parts.len() - 1].apply(&self.fc_rotation);
            let quaternion_b4 = self.rotation.decode(&rotation_bn);
            let (translation_b3, anchored) = match &self.position {
                Position::Regressed(fc_xyz) => (parts[0].apply(fc_xyz), None),
                Position::Anchored(anchors) => {
                    let anchored = anchors.forward(&parts[0]);
                    (anchored.position_b3(), Some(anchored))
                }
            };
            let pose = PoseTensor { translation_b3, quaternion_b4 };
            let log_variance_b6 = self.fc_log_variance.as_ref().map(|fc| bounded_log_variance(&hidden.apply(fc)));
            PoseOutput { pose, rotation_bn, log_variance_b6, memory: None, anchored, scenes_bs: None }
        })
    }

    fn drop(&self, units: &Tensor, layer: usize, dropout: Dropout) -> Tensor {
        match dropout {
            Dropout::Off => units.shallow_clone(),
            Dropout::Random => units.dropout(self.dropout, true),
            Dropout::Masks(masks) => units * &masks[layer],
        }
    }
}

/// Keeps log-variances within (-14, 6), smoothly, starting at -4: standard deviations from 0.0009 to 20, so that
/// neither a perfect nor a hopeless frame makes the likelihood overflow.
fn bounded_log_variance(raw: &Tensor) -> Tensor {
    (raw / 10.0).tanh() * 10.0 - 4.0
}
