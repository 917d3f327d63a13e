//! The camera pose auto-encoder (PAE; Shavit & Keller 2022, ECCV, "Camera Pose Auto-Encoders for Improving Pose Regression",
//! sections 3.1 and 3.2): a pose to the vector that a network makes of an image taken there, without the image.
//!
//! ```text
//! image ───────────────────────────── network ──┐
//!                                               embedding ─ the network's own pose head ─ pose
//! pose ─ Fourier features ─ fully connected ────┘
//! ```
//!
//! The embedding is [`PoseNetwork::embedding`](super::PoseNetwork::embedding), in front of the network's heads. The paper has
//! one of the position and one of the orientation, each encoded from its own part of the pose. So it is here where the
//! network has a branch for each (`orientation_branch`); where one embedding serves both, one encoder sees both.
//!
//! Fourier features (eq. 5): each number p becomes p, sin(2ᵏπp), cos(2ᵏπp) with k from 0 to L-1. Positions are normalized
//! ([`MapFromNormalized`](super::MapFromNormalized)), quaternions have w >= 0. Parameters are `position.fc1` and so on,
//! `orientation.`, or `pose.` for both.

use serde::{Deserialize, Serialize};
use tch::nn::{self, Path};
use tch::{Kind, Tensor};

use super::config::NetworkConfig;
use super::pose_tensor::PoseTensor;
use crate::{Error, Result};

/// What a pose auto-encoder looks like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AutoencoderConfig {
    /// Frequencies L of the Fourier features; 0 for the numbers alone. The paper has 6, for thousands of images of a scene. Of
    /// fewer they encode poses between the training frames worse: `vloc autoencode` measures it.
    pub frequencies: usize,
    /// Widths of the fully connected layers in front of the last, which is as wide as the embedding.
    pub hidden: Vec<i64>,
}

impl Default for AutoencoderConfig {
    /// The widths are the paper's (section 3.4).
    fn default() -> Self {
        Self { frequencies: 1, hidden: vec![64, 128, 256] }
    }
}

impl AutoencoderConfig {
    /// Checks every number against its range.
    ///
    /// # Errors
    /// [`Error::Config`] with the key and what it should be.
    pub fn check(&self) -> Result<()> {
        if self.frequencies > 16 {
            return Err(Error::config("autoencoder.frequencies", "0 to 16", self.frequencies.to_string()));
        }
        match self.hidden.iter().find(|width| !(1..=65_536).contains(*width)) {
            Some(width) => Err(Error::config("autoencoder.hidden", "widths from 1 to 65536", width.to_string())),
            None => Ok(()),
        }
    }
}

/// What an encoder is told of the pose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Position,
    Orientation,
    Both,
}

/// Poses to embeddings. See the module documentation.
#[derive(Debug)]
pub struct PoseEncoder {
    encoders: Vec<(Told, Vec<nn::Linear>)>,
    frequencies: usize,
}

impl PoseEncoder {
    /// An encoder with random weights for the embedding of `network`, its parameters under `path`.
    ///
    /// # Errors
    /// [`Error::Config`] when a number is out of range, or for a network that compares frames.
    pub fn new(path: &Path, config: &AutoencoderConfig, network: &NetworkConfig) -> Result<Self> {
        config.check()?;
        if network.gallery.is_some() {
            let expected = "a network that answers from the frame alone";
            return Err(Error::config("autoencoder", expected, "one with a gallery, which has no embedding of a pose"));
        }
        let told = match network.orientation_branch {
            None => vec![(Told::Both, path / "pose")],
            Some(_) => vec![(Told::Position, path / "position"), (Told::Orientation, path / "orientation")],
        };
        let encoder = |(told, path): (Told, Path)| {
            let coordinates = match told {
                Told::Position => 3,
                Told::Orientation => 4,
                Told::Both => 7,
            };
            let width = coordinates * (1 + 2 * config.frequencies as i64);
            let outputs = config.hidden.iter().copied().chain([network.hidden[0]]);
            (told, perceptron(&path, width, outputs))
        };
        Ok(Self { encoders: told.into_iter().map(encoder).collect(), frequencies: config.frequencies })
    }

    /// The embeddings `bh` of poses.
    pub fn encode(&self, poses: &PoseTensor) -> Tensor {
        let w_b1 = poses.quaternion_b4.narrow(1, 0, 1);
        let sign_b1 = w_b1.ge(0.0).to_kind(Kind::Float) * 2.0 - 1.0;
        let quaternion_b4 = &poses.quaternion_b4 * sign_b1;
        let embed = |(told, layers): &(Told, Vec<nn::Linear>)| {
            let numbers_bc = match told {
                Told::Position => poses.translation_b3.shallow_clone(),
                Told::Orientation => quaternion_b4.shallow_clone(),
                Told::Both => Tensor::cat(&[&poses.translation_b3, &quaternion_b4], 1),
            };
            apply(layers, &fourier(&numbers_bc, self.frequencies))
        };
        Tensor::cat(&self.encoders.iter().map(embed).collect::<Vec<_>>(), 1)
    }

    /// How many embeddings stand side by side: one per branch of the network.
    pub fn count(&self) -> usize {
        self.encoders.len()
    }
}

/// Numbers `bc`, and their sines and cosines, `b(c(1 + 2L))`.
fn fourier(numbers_bc: &Tensor, frequencies: usize) -> Tensor {
    let mut features = vec![numbers_bc.shallow_clone()];
    for power in 0..frequencies {
        let angle = numbers_bc * (2f64.powi(power as i32) * std::f64::consts::PI);
        features.extend([angle.sin(), angle.cos()]);
    }
    Tensor::cat(&features, 1)
}

/// Fully connected layers of these widths, `fc1` and on.
pub(super) fn perceptron(path: &Path, inputs: i64, widths: impl Iterator<Item = i64>) -> Vec<nn::Linear> {
    let mut from = inputs;
    let layer = |(index, to): (usize, i64)| {
        let layer = nn::linear(path / format!("fc{}", index + 1), from, to, Default::default());
        from = to;
        layer
    };
    widths.enumerate().map(layer).collect()
}

/// Their output, with ReLU between them.
pub(super) fn apply(layers: &[nn::Linear], input: &Tensor) -> Tensor {
    let start = input.shallow_clone();
    layers.iter().enumerate().fold(start, |numbers, (index, layer)| match index {
        0 => numbers.apply(layer),
        _ => numbers.relu().apply(layer),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    #[test]
    fn fourier_features_are_the_papers() {
        let features = fourier(&Tensor::from_slice(&[0.25f32, -0.5]).view([1, 2]), 2);
        let half = std::f64::consts::FRAC_1_SQRT_2;
        let expected = [0.25, -0.5, half, -1.0, half, 0.0, 1.0, 0.0, 0.0, -1.0];
        assert_eq!(features.size(), [1, 10]);
        for (index, value) in expected.iter().enumerate() {
            assert!((features.double_value(&[0, index as i64]) - value).abs() < 1e-6, "{index}");
        }
    }

    #[test]
    fn each_branch_has_an_encoder_that_knows_its_part_alone() {
        let store = nn::VarStore::new(Device::Cpu);
        let network = NetworkConfig { hidden: vec![32], ..NetworkConfig::preset("vlocnet-small").unwrap() };
        let branched = NetworkConfig { orientation_branch: Some(network.encoder.stages()), ..network.clone() };
        let config = AutoencoderConfig::default();
        let root = store.root();
        let joint = PoseEncoder::new(&(&root / "joint"), &config, &network).unwrap();
        let parted = PoseEncoder::new(&(&root / "parted"), &config, &branched).unwrap();
        let poses = |translation: [f32; 3], quaternion: [f32; 4]| PoseTensor {
            translation_b3: Tensor::from_slice(&translation).view([1, 3]),
            quaternion_b4: Tensor::from_slice(&quaternion).view([1, 4]),
        };
        let here = poses([0.1, 0.2, 0.3], [0.8, 0.6, 0.0, 0.0]);
        let there = poses([0.7, 0.2, 0.3], [0.8, 0.6, 0.0, 0.0]);
        let opposite = poses([0.1, 0.2, 0.3], [-0.8, -0.6, 0.0, 0.0]);
        assert_eq!((joint.encode(&here).size(), parted.encode(&here).size()), (vec![1, 32], vec![1, 64]));
        assert!(joint.encode(&here).equal(&joint.encode(&opposite)), "q and -q are one rotation");
        let (one, other) = (parted.encode(&here), parted.encode(&there));
        assert!(!one.narrow(1, 0, 32).equal(&other.narrow(1, 0, 32)));
        assert!(one.narrow(1, 32, 32).equal(&other.narrow(1, 32, 32)), "the orientation is the same");
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let store = nn::VarStore::new(Device::Cpu);
        let gallery = NetworkConfig::preset("nnnet-squeezenet").unwrap();
        let error = PoseEncoder::new(&store.root(), &AutoencoderConfig::default(), &gallery).unwrap_err().to_string();
        assert!(error.contains("expected a network that answers from the frame alone"), "{error}");
        let error = AutoencoderConfig { frequencies: 17, ..Default::default() }.check().unwrap_err().to_string();
        assert_eq!(error, "parameter autoencoder.frequencies: expected 0 to 16, found 17");
        let error = AutoencoderConfig { hidden: vec![0], ..Default::default() }.check().unwrap_err().to_string();
        assert_eq!(error, "parameter autoencoder.hidden: expected widths from 1 to 65536, found 0");
    }
}
