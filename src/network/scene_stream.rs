//! MS-Transformer (Shavit, Ferens & Keller 2021, arXiv 2103.11468): where the camera is in one of several scenes, and in which.
//!
//! ```text
//!            ┌─ coarse map ─ tokens ─ transformer, a query per scene ─┬───────────────── of the scene ─ perceptron ─ position
//! frame ─ encoder                                                     ├─ fc_scene ─ which scene
//!            └─ finer map ── tokens ─ transformer, a query per scene ─┴───────────────── of the scene ─ perceptron ─ orientation
//! ```
//!
//! A token is a cell of the map behind a 1x1 convolution, plus what was learned for its row and its column, half of the
//! width each. The queries of the two decoders go by scene: what they find, side by side, gives a number per scene, whose
//! softmax is the probability that the image shows it. The heads are those of all scenes (the paper's perceptrons).
//!
//! Where the paper leaves it open, or its authors' code does otherwise: encodings are added to the tokens once, in front of
//! the first layer, and queries are what the first layer of the decoder sees, as in `nn.Transformer`; the code adds both
//! in each attention, as DETR does. Log-variances are predicted as by the other members.

use tch::nn::{self, Init, Path};
use tch::{Kind, Tensor};

use super::config::{NetworkConfig, TransformerConfig};
use super::encoder::Encoder;
use super::pose_head::{Dropout, HeadShape, PoseHead, PoseOutput};
use super::transformer::Transformer;

/// A transformer over one map of the encoder.
#[derive(Debug)]
struct MapReader {
    stage: usize,
    projection: nn::Conv2D,
    rows_hd: Tensor,
    columns_wd: Tensor,
    queries_sd: Tensor,
    transformer: Transformer,
}

impl MapReader {
    /// For maps of this size (channels, rows, columns) behind `stage`.
    fn new(path: &Path, shape: &TransformerConfig, stage: usize, [channels, rows, columns]: [i64; 3]) -> Self {
        let half = shape.width / 2;
        // As DETR starts its learned encodings, and an embedding of PyTorch its rows.
        let encodings =
            |name: &str, count: i64, width: i64| path.var(name, &[count, width], Init::Uniform { lo: 0.0, up: 1.0 });
        let normal = Init::Randn { mean: 0.0, stdev: 1.0 };
        Self {
            stage,
            projection: nn::conv2d(path / "projection", channels, shape.width, 1, Default::default()),
            rows_hd: encodings("rows", rows, half),
            columns_wd: encodings("columns", columns, shape.width - half),
            queries_sd: path.var("queries", &[shape.scenes as i64, shape.width], normal),
            transformer: Transformer::new(&(path / "transformer"), shape),
        }
    }

    /// What the query of each scene finds in the maps of an image, `bsd`.
    fn forward(&self, maps: &[Tensor], train: bool) -> Tensor {
        let cells_bhwd = maps[self.stage].apply(&self.projection).permute([0, 2, 3, 1]);
        let [images, rows, columns] = [0, 1, 2].map(|dimension| cells_bhwd.size()[dimension]);
        let of_rows = self.rows_hd.unsqueeze(1).expand([rows, columns, -1], false);
        let of_columns = self.columns_wd.unsqueeze(0).expand([rows, columns, -1], false);
        let tokens_bnd = (cells_bhwd + Tensor::cat(&[of_rows, of_columns], 2)).flatten(1, 2);
        self.transformer.forward(&tokens_bnd, &self.queries_sd.unsqueeze(0).expand([images, -1, -1], false), train)
    }
}

/// The stream of absolute poses of a member that knows several scenes.
#[derive(Debug)]
pub(super) struct SceneStream {
    position: MapReader,
    orientation: MapReader,
    fc_scene: nn::Linear,
    head: PoseHead,
}

/// What the queries found in a batch, and what they say of its scene.
struct Found {
    /// For the position and for the orientation, `bsd`.
    latents: [Tensor; 2],
    /// Logarithms of the probabilities of the scenes, `bs`.
    log_probability_bs: Tensor,
}

impl SceneStream {
    /// Position under `global`, orientation under `orientation`, for maps as `shared` makes them of the configured input.
    pub(super) fn new(path: &Path, config: &NetworkConfig, shape: &TransformerConfig, shared: &Encoder) -> Self {
        let (global, orientation) = (path / "global", path / "orientation");
        let size = |stage: usize| map_size(config, shared, stage, path);
        let readers = [(&global, shape.position_stage), (&orientation, shape.orientation_stage)];
        let [position, of_orientation] = readers.map(|(path, stage)| MapReader::new(path, shape, stage, size(stage)));
        let fc_scene = nn::linear(&global / "fc_scene", 2 * shape.width, 1, Default::default());
        let head = PoseHead::new(&[(global, shape.width), (orientation, shape.width)], HeadShape::of(config));
        Self { position, orientation: of_orientation, fc_scene, head }
    }

    /// Poses in the scenes `scenes_b` (from 0) of the images whose maps these are, or in the likeliest of each.
    pub(super) fn forward(
        &self,
        maps: &[Tensor],
        scenes_b: Option<&Tensor>,
        train: bool,
        dropout: Dropout,
    ) -> PoseOutput {
        let found = self.find(maps, train);
        let embedding_bh = self.embed_found(&found, scenes_b);
        self.head.regress(&embedding_bh, dropout).with_scenes(found.log_probability_bs)
    }

    /// What the head sees of each image in the likeliest scene, `bh`.
    pub(super) fn embed(&self, maps: &[Tensor]) -> Tensor {
        self.embed_found(&self.find(maps, false), None)
    }

    fn find(&self, maps: &[Tensor], train: bool) -> Found {
        let latents = [self.position.forward(maps, train), self.orientation.forward(maps, train)];
        // The choice stays in single precision when the rest runs in half.
        let both_bse = Tensor::cat(&latents.each_ref().map(|latent| latent.to_kind(Kind::Float)), 2);
        let logits_bs = tch::autocast(false, || both_bse.apply(&self.fc_scene).squeeze_dim(2));
        Found { latents, log_probability_bs: logits_bs.log_softmax(1, Kind::Float) }
    }

    fn embed_found(&self, found: &Found, scenes_b: Option<&Tensor>) -> Tensor {
        let likeliest = || found.log_probability_bs.argmax(1, false);
        let scenes_b = scenes_b.map_or_else(likeliest, Tensor::shallow_clone);
        let of_scene = |latent_bsd: &Tensor| {
            let [images, _, width] = [0, 1, 2].map(|dimension| latent_bsd.size()[dimension]);
            latent_bsd.gather(1, &scenes_b.view([-1, 1, 1]).expand([images, 1, width], false), false).squeeze_dim(1)
        };
        self.head.embed(&found.latents.each_ref().map(of_scene))
    }
}

/// Channels, rows and columns behind a stage, found by looking.
fn map_size(config: &NetworkConfig, shared: &Encoder, stage: usize, path: &Path) -> [i64; 3] {
    let seen = config.seen();
    let image = Tensor::zeros([1, 3, seen.height.into(), seen.width.into()], (Kind::Float, path.device()));
    let size = tch::no_grad(|| shared.forward(&image, false)[stage].size());
    [size[1], size[2], size[3]]
}
