//! Encoders: images to features, the convolutional networks of the literature without their classifiers.
//!
//! Each is a list of stages, so that a model may share the first ones between its streams (VLocNet), look in between
//! (PoseNet's auxiliary heads, the skips of Hourglass-Pose) or split position from orientation somewhere (BranchNet).
//! Parameters have torchvision's names: its weights load by name.

mod cells;
mod convolution;
mod efficientnet;
mod googlenet;
mod mobilenet;
mod resnet;
mod squeezenet;
mod vgg;

use std::ops::Range;

use tch::Tensor;
use tch::nn::{ModuleT, Path, SequentialT};

use super::config::{Activation, EncoderConfig};

pub use cells::CellGrid;

impl Activation {
    /// Applies it element by element.
    pub fn apply(self, input: &Tensor) -> Tensor {
        match self {
            Activation::Relu => input.relu(),
            Activation::Elu => input.elu(),
            Activation::Gelu => input.gelu("none"),
        }
    }
}

impl EncoderConfig {
    /// Channels behind each stage.
    pub fn channels(&self) -> Vec<i64> {
        match self {
            EncoderConfig::Resnet { shape } => resnet::channels(shape),
            EncoderConfig::Googlenet => googlenet::CHANNELS.to_vec(),
            EncoderConfig::Vgg16 => vgg::CHANNELS.to_vec(),
            EncoderConfig::Squeezenet => squeezenet::CHANNELS.to_vec(),
            EncoderConfig::MobilenetV2 => mobilenet::CHANNELS.to_vec(),
            EncoderConfig::EfficientnetB0 => efficientnet::CHANNELS.to_vec(),
        }
    }

    /// How many stages there are.
    pub fn stages(&self) -> usize {
        self.channels().len()
    }

    fn stage(&self, path: &Path, stage: usize, channels_in: i64) -> SequentialT {
        match self {
            EncoderConfig::Resnet { shape } => resnet::stage(path, shape, stage, channels_in),
            EncoderConfig::Googlenet => googlenet::stage(path, stage, channels_in),
            EncoderConfig::Vgg16 => vgg::stage(path, stage, channels_in),
            EncoderConfig::Squeezenet => squeezenet::stage(path, stage, channels_in),
            EncoderConfig::MobilenetV2 => mobilenet::stage(path, stage, channels_in),
            EncoderConfig::EfficientnetB0 => efficientnet::stage(path, stage, channels_in),
        }
    }
}

/// Some consecutive stages of an encoder.
#[derive(Debug)]
pub struct Encoder {
    stages: Vec<SequentialT>,
}

impl Encoder {
    /// The given stages with random weights, for `channels_in` channels (3 for an image in front of stage 0).
    pub fn new(path: &Path, config: &EncoderConfig, stages: Range<usize>, channels_in: i64) -> Self {
        let channels = config.channels();
        let first = stages.start;
        let stage = |stage: usize| {
            let channels_in = if stage == first { channels_in } else { channels[stage - 1] };
            config.stage(path, stage, channels_in)
        };
        Self { stages: stages.map(stage).collect() }
    }

    /// How many stages these are.
    pub fn count(&self) -> usize {
        self.stages.len()
    }

    /// The output of each stage in order, `bchw`.
    pub fn forward(&self, input_bchw: &Tensor, train: bool) -> Vec<Tensor> {
        let mut outputs = Vec::<Tensor>::with_capacity(self.stages.len());
        for stage in &self.stages {
            let output = stage.forward_t(outputs.last().unwrap_or(input_bchw), train);
            outputs.push(output);
        }
        outputs
    }
}
