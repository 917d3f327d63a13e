//! The composition: encoder -> localizer -> pose head, for where the camera is, and where the member of the family has
//! it, how it moved.
//!
//! ```text
//! frame ── shared stages ─┬─ global:   stages ─ (+ frame before, + semantics) ─ last stage ─ localizer ─ (LSTM) ─ head ─ absolute pose
//!                         │                                                     (last stage ─ localizer ─ of orientation alone)
//!                         ├─ auxiliary heads, in training
//!                         ├─ semantic: what pixels show; its features go to the global stream
//! frame before ── same ───┴─ odometry: stages of both frames, joined ─ last stage ─ localizer ─ head ─ relative pose
//! ```
//!
//! VLocNet (Valada, Radwan & Burgard 2018, arXiv 1803.03642) is all of the upper and the lower line. Where it differs
//! from the paper: both frames pass the *same* stages (siamese), so that each frame is computed once and its features
//! wait for the next; the paper gives the earlier frame weights of its own. Both streams also predict log-variances.
//!
//! A member with a gallery (NNnet, RelocNet) has the lower line only, named `relative.`: it says where a frame is seen from
//! an alike training image, see [`Gallery`](super::Gallery).
//!
//! A member that knows several scenes (MS-Transformer) reads two of the shared maps by transformers, see `scene_stream`. One
//! that knows points has a [`SceneCoordinateHead`] in place of the streams, named `coordinates.`; of a place of several parts one
//! for each, `coordinates.0.` and on.
//!
//! Parameter names are `trunk.` (the shared stages), `global.`, `orientation.`, `auxiliary.`, `semantic.` or `odometry.`,
//! then torchvision's (`trunk.layer1.0.conv1.weight`).

use tch::nn::{Path, VarStore};
use tch::{Kind, Tensor};

use super::auxiliary::AuxiliaryHead;
use super::config::{Activation, EncoderConfig, LocalizerConfig, NetworkConfig, Odometry, Temporal};
use super::encoder::Encoder;
use super::localizer::Localizer;
use super::pose_head::{Dropout, HeadShape, PoseHead, PoseOutput};
use super::scene_coordinates::{SceneCoordinateHead, fast_products};
use super::scene_stream::SceneStream;
use super::semantics::SemanticStream;
use super::temporal::{Fusion, History, Memory, Recurrent};
use crate::Result;

impl NetworkConfig {
    /// The nonlinearity behind the encoder.
    pub(super) fn activation(&self) -> Activation {
        match &self.encoder {
            _ if self.transformer().is_some() => Activation::Gelu,
            EncoderConfig::Resnet { shape } => shape.activation,
            EncoderConfig::Squeezenet => Activation::Elu,
            _ => Activation::Relu,
        }
    }
}

/// What the shared stages make of a batch: the map behind each, or of a cache the last alone.
#[derive(Debug)]
pub struct Features {
    maps: Vec<Tensor>,
}

impl Features {
    /// The last map alone, `bchw`.
    pub fn of_last(map_bchw: Tensor) -> Self {
        Self { maps: vec![map_bchw] }
    }

    /// The map behind each shared stage, `bchw`; of a cache the last alone.
    pub fn maps(&self) -> &[Tensor] {
        &self.maps
    }

    /// The last map, `bchw`.
    pub fn last(&self) -> &Tensor {
        &self.maps[self.maps.len() - 1]
    }

    /// The rows from `start`, `length` of them.
    pub fn narrow(&self, start: i64, length: i64) -> Self {
        Self { maps: self.maps.iter().map(|map| map.narrow(0, start, length)).collect() }
    }
}

/// The last stages, the localizer and the branch of the head that only the orientation uses.
#[derive(Debug)]
struct OrientationBranch {
    stages: Encoder,
    localizer: Option<Localizer>,
}

#[derive(Debug)]
struct GlobalStream {
    before: Encoder,
    fusion: Option<Fusion>,
    keeps_features: bool,
    behind: Encoder,
    localizer: Localizer,
    recurrent: Option<Recurrent>,
    semantic: Option<SemanticStream>,
    orientation: Option<OrientationBranch>,
    head: PoseHead,
}

/// The stream that says where one frame was taken, seen from another: the frame before, or an alike training image.
#[derive(Debug)]
pub struct OdometryStream {
    before: Encoder,
    behind: Encoder,
    localizer: Localizer,
    head: PoseHead,
    pools_first: bool,
}

/// What gives the pose of a frame.
#[derive(Debug)]
enum PoseStream {
    /// The frame itself.
    Absolute(Box<GlobalStream>),
    /// The frame itself, in one of several scenes.
    Scenes(Box<SceneStream>),
    /// The frame beside training images.
    Relative(Box<OdometryStream>),
    /// The points that the cells of the frame show, in each part of the place; the pose is geometry's.
    Coordinates(Vec<SceneCoordinateHead>),
}

/// The network. See the module documentation.
#[derive(Debug)]
pub struct PoseNetwork {
    shared: Encoder,
    pose: PoseStream,
    auxiliary: Vec<AuxiliaryHead>,
    odometry: Option<OdometryStream>,
    /// The precision of the shared stages, where it is not that of the input.
    products: Kind,
}

impl PoseNetwork {
    /// The network with random weights, its parameters under `path`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) when the configuration is out of range or cannot be composed.
    pub fn new(path: &Path, config: &NetworkConfig) -> Result<Self> {
        config.check()?;
        let shared = Encoder::new(&(path / "trunk"), &config.encoder, 0..config.shared_stages(), 3);
        let pose = match (config.gallery, config.transformer(), SceneCoordinateHead::all(path, config)) {
            (_, _, Some(heads)) => PoseStream::Coordinates(heads),
            (None, None, None) => PoseStream::Absolute(Box::new(GlobalStream::new(path, config, &shared))),
            (None, Some(shape), None) => PoseStream::Scenes(Box::new(SceneStream::new(path, config, shape, &shared))),
            (Some(_), _, None) => PoseStream::Relative(Box::new(OdometryStream::new(path / "relative", config))),
        };
        let channels = config.encoder.channels();
        let auxiliary = config.auxiliary_heads.iter();
        let auxiliary = auxiliary
            .map(|&stage| AuxiliaryHead::new(&(path / "auxiliary"), stage, channels[stage], config.rotation))
            .collect();
        let odometry = (config.odometry == Odometry::Siamese).then(|| OdometryStream::new(path / "odometry", config));
        Ok(Self { shared, pose, auxiliary, odometry, products: Kind::Float })
    }

    /// Puts the encoder of a member that knows points into the precision of
    /// [`fast_products`](super::scene_coordinates::fast_products): it only looks, and does not learn. What is saved of its store
    /// from then on has that precision too.
    pub(crate) fn quicken(&mut self, store: &VarStore) {
        let products = fast_products(store.device());
        if self.coordinates().is_none() || products == Kind::Float {
            return;
        }
        tch::no_grad(|| {
            let encoder = store.variables().into_iter().filter(|(name, _)| name.starts_with("trunk."));
            for (_, mut weights) in encoder.filter(|(_, weights)| weights.kind() == Kind::Float) {
                weights.set_data(&weights.to_kind(products));
            }
        });
        self.products = products;
    }

    /// Puts the anchor points of a network that has some to positions in its units, `n3`.
    pub fn place_anchors(&self, positions_n3: &Tensor) {
        if let Some(global) = self.global() {
            global.head.place_anchors(positions_n3);
        }
    }

    fn global(&self) -> Option<&GlobalStream> {
        match &self.pose {
            PoseStream::Absolute(global) => Some(global),
            PoseStream::Scenes(_) | PoseStream::Relative(_) | PoseStream::Coordinates(_) => None,
        }
    }

    /// Normalized colours `b3hw` to the features that the streams share.
    pub fn shared(&self, input_b3hw: &Tensor, train: bool) -> Features {
        match self.products {
            Kind::Float => Features { maps: self.shared.forward(input_b3hw, train) },
            products => Features { maps: self.shared.forward(&input_b3hw.to_kind(products), train) },
        }
    }

    /// Absolute poses of the frames whose shared features these are, each in its likeliest scene where the network knows
    /// several; `None` for a network that compares frames.
    pub fn absolute(&self, shared: &Features, history: &History, train: bool) -> Option<PoseOutput> {
        self.absolute_in(shared, None, history, train)
    }

    /// The same in the scenes `scenes_b` (numbers from 0), where they are given and the network knows some.
    pub fn absolute_in(
        &self,
        shared: &Features,
        scenes_b: Option<&Tensor>,
        history: &History,
        train: bool,
    ) -> Option<PoseOutput> {
        self.absolute_with((shared, scenes_b), history, train, Dropout::training(train))
    }

    /// The same of one frame, with the deterministic prediction in the first row and samples of the dropout behind it.
    pub(super) fn absolute_samples(
        &self,
        (shared, scenes_b): (&Features, Option<&Tensor>),
        history: &History,
        masks: &[Tensor],
    ) -> Option<PoseOutput> {
        self.absolute_with((shared, scenes_b), history, false, Dropout::Masks(masks))
    }

    fn absolute_with(
        &self,
        (shared, scenes_b): (&Features, Option<&Tensor>),
        history: &History,
        train: bool,
        dropout: Dropout,
    ) -> Option<PoseOutput> {
        match &self.pose {
            PoseStream::Absolute(global) => Some(global.forward(shared, history, train, dropout)),
            PoseStream::Scenes(scenes) => Some(scenes.forward(&shared.maps, scenes_b, train, dropout)),
            PoseStream::Relative(_) | PoseStream::Coordinates(_) => None,
        }
    }

    /// What the head sees of each frame, `bh`: images that look alike to it are near. Of a network that compares frames,
    /// what it finds alike ones by ([`OdometryStream::embedding`]); of one that knows points, the mean of the last map.
    pub fn embedding(&self, shared: &Features, history: &History) -> Tensor {
        match &self.pose {
            PoseStream::Absolute(global) => global.embed(shared, history, false).0,
            PoseStream::Scenes(scenes) => scenes.embed(&shared.maps),
            PoseStream::Relative(relative) => relative.embedding(&relative.features(shared, false)),
            PoseStream::Coordinates(_) => shared.last().mean_dim([2i64, 3].as_slice(), false, None::<Kind>),
        }
    }

    /// The poses that the head reads from embeddings `bh`, without dropout; `None` for a network that compares frames.
    pub fn decode(&self, embedding_bh: &Tensor) -> Option<PoseOutput> {
        Some(self.global()?.head.regress(embedding_bh, Dropout::Off))
    }

    /// The poses of the auxiliary heads, in training.
    pub fn auxiliary(&self, shared: &Features) -> Vec<PoseOutput> {
        self.auxiliary.iter().map(|head| head.forward(&shared.maps)).collect()
    }

    /// Logits of the classes `bkhw` of the pixels of an image of `size` (rows, columns); `None` for a member without a semantic
    /// stream, or without classes.
    pub fn segmentation(&self, shared: &Features, size: [i64; 2]) -> Option<Tensor> {
        self.global()?.semantic.as_ref()?.logits(&shared.maps, size)
    }

    /// The pair regressor of a member that compares frames with training images.
    pub fn relative(&self) -> Option<&OdometryStream> {
        match &self.pose {
            PoseStream::Absolute(_) | PoseStream::Scenes(_) | PoseStream::Coordinates(_) => None,
            PoseStream::Relative(relative) => Some(relative),
        }
    }

    /// What says which points the cells of a frame show, of a member that knows points; of several parts of a place that of the
    /// first.
    pub fn coordinates(&self) -> Option<&SceneCoordinateHead> {
        self.parts().first()
    }

    /// What says it in each part of the place; none of a member that knows no points.
    pub fn parts(&self) -> &[SceneCoordinateHead] {
        match &self.pose {
            PoseStream::Coordinates(heads) => heads,
            PoseStream::Absolute(_) | PoseStream::Scenes(_) | PoseStream::Relative(_) => &[],
        }
    }

    /// The odometry stream of a member that has one.
    pub fn odometry(&self) -> Option<&OdometryStream> {
        self.odometry.as_ref()
    }
}

impl GlobalStream {
    fn new(path: &Path, config: &NetworkConfig, shared: &Encoder) -> Self {
        let (own, encoder) = (path / "global", &config.encoder);
        let (cut, joint, end) = (config.shared_stages(), config.joining_stage(), encoder.stages());
        let mut channels = encoder.channels();
        let before = Encoder::new(&own, encoder, cut..joint, channels[cut - 1]);
        let size_chw = || size_at_joint(config, shared, &before, path);
        let fusion = match config.temporal {
            Temporal::None | Temporal::Lstm => None,
            temporal => Fusion::new(&own, temporal, size_chw()),
        };
        let joined = fusion.as_ref().map_or(channels[joint - 1], |fusion| fusion.channels(channels[joint - 1]));
        let activation = config.activation();
        let semantic = config.semantics.as_ref().map(|semantics| {
            let [_, height, width] = size_chw();
            let path = path / "semantic";
            SemanticStream::new(&path, semantics, &channels[..cut], [joined, height, width], activation)
        });
        let behind = Encoder::new(&own, encoder, joint..end, joined);
        if joint == end {
            channels[end - 1] = joined;
        }
        let localizer = Localizer::new(&own, config.localizer, &channels, activation);
        let recurrent =
            (config.temporal == Temporal::Lstm).then(|| Recurrent::new(&own, localizer.width(), config.hidden[0]));
        let width = recurrent.as_ref().map_or(localizer.width(), Recurrent::width);
        let orientation = config.orientation_branch.map(|first_stage| {
            let path = path / "orientation";
            let channels_in = if first_stage == joint { joined } else { channels[first_stage - 1] };
            let stages = Encoder::new(&path, encoder, first_stage..end, channels_in);
            let localizer = (first_stage < end).then(|| Localizer::new(&path, config.localizer, &channels, activation));
            OrientationBranch { stages, localizer }
        });
        let mut branches = vec![(own, width)];
        if orientation.is_some() {
            branches.push((path / "orientation", width));
        }
        let head = PoseHead::new(&branches, HeadShape::of(config));
        let keeps_features = config.temporal == Temporal::PreviousFeatures;
        Self { before, fusion, keeps_features, behind, localizer, recurrent, semantic, orientation, head }
    }

    fn forward(&self, shared: &Features, history: &History, train: bool, dropout: Dropout) -> PoseOutput {
        let (embedding, memory) = self.embed(shared, history, train);
        self.head.regress(&embedding, dropout).with_memory(memory)
    }

    /// The embedding `bh`, and what the next frame needs: the features in front of the fusion, or the LSTM's state.
    fn embed(&self, shared: &Features, history: &History, train: bool) -> (Tensor, Option<Memory>) {
        let mut maps: Vec<Tensor> = shared.maps.iter().map(Tensor::shallow_clone).collect();
        maps.extend(self.before.forward(shared.last(), train));
        let own = maps[maps.len() - 1].shallow_clone();
        let joined = self.fusion.as_ref().map(|fusion| fusion.forward(&own, history));
        let last = maps.len() - 1;
        if let Some(joined) = joined {
            maps[last] = joined;
        }
        if let Some(semantic) = &self.semantic {
            maps[last] = semantic.fuse(&maps[last], &shared.maps);
        }
        maps.extend(self.behind.forward(&maps[maps.len() - 1], train));
        let vector = self.localizer.forward(&maps, train);
        if let Some(recurrent) = &self.recurrent {
            let (state, memory) = recurrent.forward(&vector, history);
            return (self.head.embed(&[state]), Some(memory));
        }
        let vectors = match &self.orientation {
            None => vec![vector],
            Some(branch) => vec![vector.shallow_clone(), branch.vector(&vector, &maps, train)],
        };
        (self.head.embed(&vectors), self.keeps_features.then_some(Memory::Features(own)))
    }
}

impl OrientationBranch {
    /// The vector of the orientation, from the maps of the position's way; where only the fully connected layers part,
    /// it is the position's.
    fn vector(&self, of_position: &Tensor, maps: &[Tensor], train: bool) -> Tensor {
        let Some(localizer) = &self.localizer else { return of_position.shallow_clone() };
        let common = &maps[..maps.len() - self.stages.count()];
        let mut maps: Vec<Tensor> = common.iter().map(Tensor::shallow_clone).collect();
        maps.extend(self.stages.forward(&maps[maps.len() - 1], train));
        localizer.forward(&maps, train)
    }
}

impl OdometryStream {
    fn new(own: Path, config: &NetworkConfig) -> Self {
        let encoder = &config.encoder;
        let (cut, joint, end) = (config.shared_stages(), config.joining_stage(), encoder.stages());
        let mut channels = encoder.channels();
        let before = Encoder::new(&own, encoder, cut..joint, channels[cut - 1]);
        let joined = 2 * channels[joint - 1];
        let behind = Encoder::new(&own, encoder, joint..end, joined);
        if joint == end {
            channels[end - 1] = joined;
        }
        // Two frames joined late have no maps of their own to climb up along.
        let localizer = match config.localizer {
            LocalizerConfig::Hourglass { channels, rows, cols } => LocalizerConfig::Grid { rows, cols, channels },
            other => other,
        };
        let localizer = Localizer::new(&own, localizer, &channels, config.activation());
        // A motion has no place in the map.
        let shape = HeadShape { anchors: None, ..HeadShape::of(config) };
        let head = PoseHead::new(&[(own, localizer.width())], shape);
        let pools_first = config.gallery.is_some() && joint == end && config.localizer == LocalizerConfig::Average;
        Self { before, behind, localizer, head, pools_first }
    }

    /// What the stream keeps of a frame until it meets another, `bchw`. Where it is averaged right behind the joint
    /// (NNnet), it is averaged before: the same numbers, and a row of them per training image.
    pub fn features(&self, shared: &Features, train: bool) -> Tensor {
        let last = self.before.forward(shared.last(), train).pop().unwrap_or_else(|| shared.last().shallow_clone());
        if self.pools_first { last.adaptive_avg_pool2d([1, 1]) } else { last }
    }

    /// Unit vectors `bc` of [`OdometryStream::features`], averaged over the map: alike frames have near ones.
    pub fn embedding(&self, features_bchw: &Tensor) -> Tensor {
        let mean_bc = features_bchw.mean_dim([2i64, 3].as_slice(), false, Kind::Float);
        let length_b1 = mean_bc.square().sum_dim_intlist([1i64].as_slice(), true, None::<Kind>).sqrt();
        mean_bc / length_b1.clamp_min(1e-12)
    }

    /// Poses of the current frames in the axes of the previous ones, from [`OdometryStream::features`] of each.
    pub fn relative(&self, previous_bchw: &Tensor, current_bchw: &Tensor, train: bool) -> PoseOutput {
        self.forward(previous_bchw, current_bchw, train, Dropout::training(train))
    }

    /// The pose of one current frame in the axes of one previous, and the other way, in one pass: each has the deterministic
    /// prediction in its first row and samples behind it.
    pub(super) fn both_ways(&self, previous: &Tensor, current: &Tensor, masks: &[Tensor]) -> [PoseOutput; 2] {
        let embedding =
            self.embed_pairs(&Tensor::cat(&[previous, current], 0), &Tensor::cat(&[current, previous], 0), false);
        [0, 1].map(|row| self.head.regress(&embedding.narrow(0, row, 1), Dropout::Masks(masks)))
    }

    pub(super) fn forward(&self, previous: &Tensor, current: &Tensor, train: bool, dropout: Dropout) -> PoseOutput {
        self.head.regress(&self.embed_pairs(previous, current, train), dropout)
    }

    fn embed_pairs(&self, previous: &Tensor, current: &Tensor, train: bool) -> Tensor {
        let mut maps = vec![Tensor::cat(&[previous, current], 1)];
        maps.extend(self.behind.forward(&maps[0], train));
        self.head.embed(&[self.localizer.forward(&maps, train)])
    }
}

/// Size of the map where frames are joined, found by looking: a fusion has weights per element of it.
fn size_at_joint(config: &NetworkConfig, shared: &Encoder, before: &Encoder, path: &Path) -> [i64; 3] {
    let seen = config.seen();
    let image = Tensor::zeros([1, 3, seen.height.into(), seen.width.into()], (Kind::Float, path.device()));
    let size = tch::no_grad(|| {
        let mut maps = shared.forward(&image, false);
        maps.extend(before.forward(&maps[maps.len() - 1], false));
        maps[maps.len() - 1].size()
    });
    [size[1], size[2], size[3]]
}
