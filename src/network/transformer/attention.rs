//! Attention of several heads: each query takes the mean of what the tokens of its context hold, weighed by how well they
//! suit it: softmax(Q Kᵀ / √k) V, with k the width of a head (Vaswani et al. 2017, equation 1 and section 3.2.2).

use tch::nn::{self, Init, Path};
use tch::{Kind, Tensor};

/// The projections of one attention, of all heads side by side.
#[derive(Debug)]
pub(super) struct Attention {
    in_proj_weight: Tensor,
    in_proj_bias: Tensor,
    out_proj: nn::Linear,
    heads: i64,
    dropout: f64,
}

impl Attention {
    /// For tokens as wide as `width`, a multiple of `heads`.
    pub(super) fn new(path: &Path, width: i64, heads: i64, dropout: f64) -> Self {
        let bound = xavier(width, 3 * width);
        let zeros = Some(Init::Const(0.0));
        let out = nn::LinearConfig {
            ws_init: Init::Uniform { lo: -xavier(width, width), up: xavier(width, width) },
            bs_init: zeros,
            bias: true,
        };
        Self {
            in_proj_weight: path.var("in_proj_weight", &[3 * width, width], Init::Uniform { lo: -bound, up: bound }),
            in_proj_bias: path.var("in_proj_bias", &[3 * width], Init::Const(0.0)),
            out_proj: nn::linear(path / "out_proj", width, width, out),
            heads,
            dropout,
        }
    }

    /// What queries `bqd` take from a context `bnd`, `bqd`. In training, weights are dropped.
    pub(super) fn forward(&self, queries_bqd: &Tensor, context_bnd: &Tensor, train: bool) -> Tensor {
        let (weights, biases) = (self.in_proj_weight.chunk(3, 0), self.in_proj_bias.chunk(3, 0));
        let of_heads = |input: &Tensor, part: usize| {
            let [rows, tokens, width] = [0, 1, 2].map(|dimension| input.size()[dimension]);
            let projected = input.linear(&weights[part], Some(&biases[part]));
            projected.view([rows, tokens, self.heads, width / self.heads]).transpose(1, 2)
        };
        let [queries, keys, values] =
            [(queries_bqd, 0), (context_bnd, 1), (context_bnd, 2)].map(|(input, part)| of_heads(input, part));
        let width = queries.size()[3] as f64;
        let suit_bhqn = (queries / width.sqrt()).matmul(&keys.transpose(2, 3)).softmax(3, None::<Kind>);
        let taken = suit_bhqn.dropout(self.dropout, train).matmul(&values);
        taken.transpose(1, 2).flatten(2, 3).apply(&self.out_proj)
    }
}

/// The bound of uniform weights whose layer neither grows nor shrinks what it passes (Glorot & Bengio 2010).
pub(super) fn xavier(inputs: i64, outputs: i64) -> f64 {
    (6.0 / (inputs + outputs) as f64).sqrt()
}
