//! From a feature map to a pose with its log-variances: pooling, fully connected layers, heads.
//!
//! Dropout stands behind each fully connected layer. Everything in front of the first is deterministic, so samples of
//! the dropout (Gal & Ghahramani 2016) cost one small batch: see [`Localizer::embed`] and [`Dropout::Masks`].

use tch::nn::{self, Path};
use tch::{Kind, Tensor};

use super::config::{Activation, NetworkConfig, Pooling, TrunkConfig};
use super::pose_tensor::PoseTensor;

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
    log_variance_b6: Tensor,
}

impl PoseOutput {
    /// The poses, normalized, quaternions of unit length.
    pub fn pose(&self) -> &PoseTensor {
        &self.pose
    }

    /// Logarithms of the variances of the right perturbation, `[translation (normalized units), rotation (rad)]`.
    pub fn log_variance_b6(&self) -> &Tensor {
        &self.log_variance_b6
    }
}

/// Pooling, fully connected layers and heads of one stream.
#[derive(Debug)]
pub struct Localizer {
    reduce: Option<nn::Conv2D>,
    pooling: Pooling,
    activation: Activation,
    dropout: f64,
    fc: Vec<nn::Linear>,
    fc_xyz: nn::Linear,
    fc_wpqr: nn::Linear,
    fc_log_variance: nn::Linear,
}

impl Localizer {
    /// A localizer for features with `channels` channels.
    pub fn new(path: &Path, channels: i64, config: &NetworkConfig) -> Self {
        let (reduce, pooled) = match config.pooling {
            Pooling::Average => (None, channels),
            Pooling::Grid { rows, cols, channels: few } => {
                (Some(nn::conv2d(path / "reduce", channels, few, 1, Default::default())), rows * cols * few)
            }
        };
        let inputs = std::iter::once(pooled).chain(config.hidden.iter().copied());
        let layers = inputs.zip(&config.hidden).zip(1..);
        let fc = layers
            .map(|((from, &to), index)| nn::linear(path / format!("fc{index}"), from, to, Default::default()))
            .collect();
        let last = config.hidden[config.hidden.len() - 1];
        let head = |name: &str, outputs, gain: f64, bias: f64| {
            let bound = gain / (last as f64).sqrt();
            let ws_init = nn::Init::Uniform { lo: -bound, up: bound };
            let head = nn::LinearConfig { ws_init, bs_init: Some(nn::Init::Const(bias)), ..Default::default() };
            nn::linear(path / name, last, outputs, head)
        };
        let fc_wpqr = head("fc_wpqr", 4, 1.0, 0.0);
        if let Some(bias) = &fc_wpqr.bs {
            // Near the identity rather than near the zero quaternion, which is no rotation.
            let _ = tch::no_grad(|| bias.get(0).fill_(1.0));
        }
        let activation = match &config.trunk {
            TrunkConfig::Resnet { shape } => shape.activation,
            TrunkConfig::Squeezenet => Activation::Elu,
        };
        let (fc_xyz, fc_log_variance) = (head("fc_xyz", 3, 1.0, 0.0), head("fc_log_variance", 6, 0.1, 0.0));
        Self {
            reduce,
            pooling: config.pooling,
            activation,
            dropout: config.dropout,
            fc,
            fc_xyz,
            fc_wpqr,
            fc_log_variance,
        }
    }

    /// Features `bchw` to the first fully connected layer `bh`: the last deterministic layer.
    pub fn embed(&self, features_bchw: &Tensor) -> Tensor {
        let pooled = match (&self.reduce, self.pooling) {
            (Some(reduce), Pooling::Grid { rows, cols, .. }) => {
                self.activation.apply(&features_bchw.apply(reduce)).adaptive_avg_pool2d([rows, cols])
            }
            _ => features_bchw.adaptive_avg_pool2d([1, 1]),
        };
        self.activation.apply(&pooled.flatten(1, -1).apply(&self.fc[0]))
    }

    /// The embedding `bh` to poses and log-variances.
    pub fn regress(&self, embedding_bh: &Tensor, dropout: Dropout) -> PoseOutput {
        let mut hidden = self.drop(embedding_bh, 0, dropout);
        for (index, fc) in self.fc.iter().enumerate().skip(1) {
            hidden = self.drop(&self.activation.apply(&hidden.apply(fc)), index, dropout);
        }
        // The heads stay in single precision when the rest runs in half.
        let hidden = hidden.to_kind(Kind::Float);
        let (translation_b3, quaternion_b4, log_variance) = tch::autocast(false, || {
            (hidden.apply(&self.fc_xyz), hidden.apply(&self.fc_wpqr), hidden.apply(&self.fc_log_variance))
        });
        let norm = quaternion_b4.square().sum_dim_intlist([1i64].as_slice(), true, Kind::Float).sqrt().clamp_min(1e-6);
        let pose = PoseTensor { translation_b3, quaternion_b4: quaternion_b4 / norm };
        PoseOutput { pose, log_variance_b6: bounded_log_variance(&log_variance) }
    }

    /// [`Localizer::embed`], then [`Localizer::regress`].
    pub fn forward(&self, features_bchw: &Tensor, train: bool) -> PoseOutput {
        self.regress(&self.embed(features_bchw), Dropout::training(train))
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
