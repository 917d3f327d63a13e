//! The transformer (Vaswani et al. 2017, arXiv 1706.03762) with normalizations in front of its parts: layers of self-attention
//! over the tokens of an image, then layers in which learned queries look at each other and at those tokens.
//!
//! Names, starts and numbers are those of PyTorch's `nn.Transformer` with `batch_first`, `norm_first` and GELU; the golden
//! file of `tests/network_parity.rs` compares them. Nothing is masked: all tokens of an image are there, and all queries
//! may see each other.
//!
//! Shapes: `b` images, `n` tokens, `s` queries, `d` the width of both.

mod attention;
mod layers;

use tch::Tensor;
use tch::nn::{self, Module, Path};

use super::config::TransformerConfig;
use layers::{DecoderLayer, EncoderLayer};

/// An encoder of tokens and a decoder of queries, with as many layers each.
#[derive(Debug)]
pub struct Transformer {
    encoder: Vec<EncoderLayer>,
    encoder_norm: nn::LayerNorm,
    decoder: Vec<DecoderLayer>,
    decoder_norm: nn::LayerNorm,
}

impl Transformer {
    /// Random weights under `path`: `encoder.layers.N`, `encoder.norm`, `decoder.layers.N`, `decoder.norm`.
    pub fn new(path: &Path, config: &TransformerConfig) -> Self {
        let norm = |part: &str| nn::layer_norm(path / part / "norm", vec![config.width], Default::default());
        let layer = |part: &str, index: usize| path / part / "layers" / index;
        Self {
            encoder: (0..config.layers).map(|index| EncoderLayer::new(&layer("encoder", index), config)).collect(),
            encoder_norm: norm("encoder"),
            decoder: (0..config.layers).map(|index| DecoderLayer::new(&layer("decoder", index), config)).collect(),
            decoder_norm: norm("decoder"),
        }
    }

    /// What each query `bsd` finds in the tokens `bnd` of its image, `bsd`.
    pub fn forward(&self, tokens_bnd: &Tensor, queries_bsd: &Tensor, train: bool) -> Tensor {
        let read = |tokens: Tensor, layer: &EncoderLayer| layer.forward(&tokens, train);
        let memory_bnd = self.encoder_norm.forward(&self.encoder.iter().fold(tokens_bnd.shallow_clone(), read));
        let ask = |queries: Tensor, layer: &DecoderLayer| layer.forward(&queries, &memory_bnd, train);
        self.decoder_norm.forward(&self.decoder.iter().fold(queries_bsd.shallow_clone(), ask))
    }
}
