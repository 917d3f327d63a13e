//! A layer of the encoder and one of the decoder: attention, then a perceptron on each token, each behind a normalization
//! and added to what came in (pre-norm: Xiong et al. 2020, arXiv 2002.04745).

use tch::Tensor;
use tch::nn::{self, Init, Module, Path};

use super::attention::{Attention, xavier};
use crate::network::config::TransformerConfig;

/// Two fully connected layers with a GELU in between, for each token alone.
#[derive(Debug)]
struct FeedForward {
    norm: nn::LayerNorm,
    linear1: nn::Linear,
    linear2: nn::Linear,
    dropout: f64,
}

impl FeedForward {
    fn new(path: &Path, norm: &str, config: &TransformerConfig) -> Self {
        let TransformerConfig { width, feedforward, dropout, .. } = *config;
        let linear = |name: &str, inputs: i64, outputs: i64| {
            let bound = xavier(inputs, outputs);
            let ws_init = Init::Uniform { lo: -bound, up: bound };
            nn::linear(path / name, inputs, outputs, nn::LinearConfig { ws_init, ..Default::default() })
        };
        Self {
            norm: layer_norm(path, norm, width),
            linear1: linear("linear1", width, feedforward),
            linear2: linear("linear2", feedforward, width),
            dropout,
        }
    }

    fn added_to(&self, tokens: &Tensor, train: bool) -> Tensor {
        let hidden = self.norm.forward(tokens).apply(&self.linear1).gelu("none").dropout(self.dropout, train);
        tokens + hidden.apply(&self.linear2).dropout(self.dropout, train)
    }
}

/// Tokens look at each other.
#[derive(Debug)]
pub(super) struct EncoderLayer {
    norm1: nn::LayerNorm,
    self_attn: Attention,
    feed_forward: FeedForward,
    dropout: f64,
}

impl EncoderLayer {
    pub(super) fn new(path: &Path, config: &TransformerConfig) -> Self {
        Self {
            norm1: layer_norm(path, "norm1", config.width),
            self_attn: Attention::new(&(path / "self_attn"), config.width, config.heads, config.dropout),
            feed_forward: FeedForward::new(path, "norm2", config),
            dropout: config.dropout,
        }
    }

    pub(super) fn forward(&self, tokens_bnd: &Tensor, train: bool) -> Tensor {
        let normalized = self.norm1.forward(tokens_bnd);
        let seen = self.self_attn.forward(&normalized, &normalized, train).dropout(self.dropout, train);
        self.feed_forward.added_to(&(tokens_bnd + seen), train)
    }
}

/// Queries look at each other, then at the tokens of their image.
#[derive(Debug)]
pub(super) struct DecoderLayer {
    norm1: nn::LayerNorm,
    self_attn: Attention,
    norm2: nn::LayerNorm,
    multihead_attn: Attention,
    feed_forward: FeedForward,
    dropout: f64,
}

impl DecoderLayer {
    pub(super) fn new(path: &Path, config: &TransformerConfig) -> Self {
        let attention = |name: &str| Attention::new(&(path / name), config.width, config.heads, config.dropout);
        Self {
            norm1: layer_norm(path, "norm1", config.width),
            self_attn: attention("self_attn"),
            norm2: layer_norm(path, "norm2", config.width),
            multihead_attn: attention("multihead_attn"),
            feed_forward: FeedForward::new(path, "norm3", config),
            dropout: config.dropout,
        }
    }

    pub(super) fn forward(&self, queries_bsd: &Tensor, memory_bnd: &Tensor, train: bool) -> Tensor {
        let normalized = self.norm1.forward(queries_bsd);
        let agreed = self.self_attn.forward(&normalized, &normalized, train).dropout(self.dropout, train);
        let queries = queries_bsd + agreed;
        let found = self.multihead_attn.forward(&self.norm2.forward(&queries), memory_bnd, train);
        self.feed_forward.added_to(&(queries + found.dropout(self.dropout, train)), train)
    }
}

fn layer_norm(path: &Path, name: &str, width: i64) -> nn::LayerNorm {
    nn::layer_norm(path / name, vec![width], Default::default())
}
