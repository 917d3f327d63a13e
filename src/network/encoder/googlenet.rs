//! GoogLeNet (Szegedy et al. 2015, arXiv 1409.4842), the encoder of PoseNet, with torchvision's parameter names and its
//! form: batch normalization, and 3x3 in place of 5x5 convolutions in the third branch.
//!
//! torchvision's ImageNet weights expect colours with mean 0.5 and standard deviation 0.5 in each channel
//! (`transform_input`): give [`Normalization`](super::super::Normalization) so.
//!
//! Stages end where somebody looks in: behind the stem, 3b, 4a and 4d (PoseNet's auxiliary heads), 4c (BranchNet's
//! branches), and 5b.

use tch::Tensor;
use tch::nn::{self, ModuleT, Path, SequentialT};

use super::convolution::{Kernel, Nonlinearity, NormalizedConvolution};

/// Channels behind each stage.
pub(super) const CHANNELS: [i64; 6] = [192, 480, 512, 512, 528, 1024];

fn convolution(path: &Path, channels_in: i64, channels_out: i64, size: i64, stride: i64) -> NormalizedConvolution {
    let kernel = Kernel::new(channels_in, channels_out, size, stride);
    NormalizedConvolution::new((path / "conv", path / "bn"), kernel, 1e-3, Nonlinearity::Relu)
}

/// Widths of an inception module (table 1): 1x1; 3x3 reduce, 3x3; 5x5 reduce, 5x5; pool projection.
type Widths = [i64; 6];

/// Four branches side by side, concatenated.
#[derive(Debug)]
struct Inception {
    branches: [SequentialT; 4],
}

impl Inception {
    fn new(path: &Path, channels_in: i64, [one, reduce3, three, reduce5, five, pool]: Widths) -> Self {
        let branch = |index: usize| path / format!("branch{index}");
        let reduced = |path: Path, reduce, channels_out| {
            nn::seq_t().add(convolution(&(&path / 0), channels_in, reduce, 1, 1)).add(convolution(
                &(&path / 1),
                reduce,
                channels_out,
                3,
                1,
            ))
        };
        let pooled = nn::seq_t().add_fn(|input| input.max_pool2d(3, 1, 1, 1, true));
        let branches = [
            nn::seq_t().add(convolution(&branch(1), channels_in, one, 1, 1)),
            reduced(branch(2), reduce3, three),
            reduced(branch(3), reduce5, five),
            pooled.add(convolution(&(branch(4) / 1), channels_in, pool, 1, 1)),
        ];
        Self { branches }
    }
}

impl ModuleT for Inception {
    fn forward_t(&self, input: &Tensor, train: bool) -> Tensor {
        Tensor::cat(&self.branches.each_ref().map(|branch| branch.forward_t(input, train)), 1)
    }
}

/// Stage 0 to 5 for `channels_in` channels.
pub(super) fn stage(path: &Path, stage: usize, channels_in: i64) -> SequentialT {
    let inception = |name: &str, channels_in: i64, widths: Widths| {
        Inception::new(&(path / format!("inception{name}")), channels_in, widths)
    };
    let pool = |size: i64| move |input: &Tensor| input.max_pool2d(size, 2, 0, 1, true);
    match stage {
        0 => nn::seq_t()
            .add(convolution(&(path / "conv1"), channels_in, 64, 7, 2))
            .add_fn(pool(3))
            .add(convolution(&(path / "conv2"), 64, 64, 1, 1))
            .add(convolution(&(path / "conv3"), 64, 192, 3, 1))
            .add_fn(pool(3)),
        1 => nn::seq_t().add(inception("3a", channels_in, [64, 96, 128, 16, 32, 32])).add(inception(
            "3b",
            256,
            [128, 128, 192, 32, 96, 64],
        )),
        2 => nn::seq_t().add_fn(pool(3)).add(inception("4a", channels_in, [192, 96, 208, 16, 48, 64])),
        3 => nn::seq_t().add(inception("4b", channels_in, [160, 112, 224, 24, 64, 64])).add(inception(
            "4c",
            512,
            [128, 128, 256, 24, 64, 64],
        )),
        4 => nn::seq_t().add(inception("4d", channels_in, [112, 144, 288, 32, 64, 64])),
        _ => nn::seq_t()
            .add(inception("4e", channels_in, [256, 160, 320, 32, 128, 128]))
            .add_fn(pool(2))
            .add(inception("5a", 832, [256, 160, 320, 32, 128, 128]))
            .add(inception("5b", 832, [384, 192, 384, 48, 128, 128])),
    }
}
