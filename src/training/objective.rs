//! The two losses of a batch of pairs: of the odometry stream, and of the absolute poses; and that of a video's pairs.

use rayon::prelude::*;
use tch::nn::{Path, VarStore};
use tch::{Kind, Tensor};

use super::batch::Batch;
use super::config::{Consistency, Reprojection, TrainingConfig, Weighting};
use super::frustum::Frustum;
use crate::geometry::Se3;
use crate::loss::{
    ConsistencyGradient, PoseErrors, PoseWeights, cross_transformation_loss, expected_squared_offset,
    geometric_consistency_loss, log_consistency_loss, motion_loss, nearest_anchor_cross_entropy, nll_loss,
    output_errors, overlap_loss, relative_pose, reprojection_loss, scene_cross_entropy, segmentation_loss,
};
use crate::network::{
    Features, History, MapFromNormalized, NetworkConfig, OdometryStream, PoseNetwork, PoseOutput, PoseTensor,
    RotationOutput, Temporal,
};
use crate::{Error, Result};

/// Share of rows that see no previous pose in training, where the architecture takes one.
const NO_HISTORY: f64 = 0.25;

/// True poses of a batch, in the network's units.
pub(super) struct Truth {
    previous: PoseTensor,
    current: PoseTensor,
    /// Points that the earlier frames see, then those of the later ones, `(2b)n3`.
    points: Option<Tensor>,
    /// Classes of the pixels of the earlier frames, then of the later ones, `(2b)hw`.
    labels: Option<Tensor>,
    /// How much every two of the frames overlap, the earlier ones first, `(2b)(2b)`.
    overlaps: Option<Tensor>,
    /// The scenes of the earlier frames, and of the later ones, `b`; absent where all are of one.
    scenes: Option<[Tensor; 2]>,
}

impl Truth {
    /// `units` of each scene.
    pub(super) fn new(batch: &Batch, units: &[MapFromNormalized], device: tch::Device) -> Self {
        let half = batch.previous.len();
        let scenes = batch.scenes.as_ref().map(|scenes| scenes.split_at(half));
        let tensor = |poses: &[Se3], scenes: Option<&[usize]>| {
            let units = |row: usize| &units[scenes.map_or(0, |scenes| scenes[row])];
            PoseTensor::from_scenes(poses.iter().enumerate().map(|(row, pose)| (pose, units(row))), device)
        };
        let numbers = |scenes: &[usize]| {
            Tensor::from_slice(&scenes.iter().map(|&scene| scene as i64).collect::<Vec<i64>>()).to_device(device)
        };
        let [points, labels] =
            [&batch.points, &batch.labels].map(|known| known.as_ref().map(|known| known.to_device(device)));
        Self {
            previous: tensor(&batch.previous, scenes.map(|(previous, _)| previous)),
            current: tensor(&batch.current, scenes.map(|(_, current)| current)),
            points,
            labels,
            overlaps: None,
            scenes: scenes.map(|(previous, current)| [numbers(previous), numbers(current)]),
        }
    }

    /// The same with the overlap of every two of the batch's frames.
    pub(super) fn with_overlaps(self, frustum: &Frustum, batch: &Batch, device: tch::Device) -> Self {
        let frames = [&batch.previous[..], &batch.current[..]].concat();
        let overlap = |a: &Se3| frames.iter().map(|b| frustum.overlap(*a, *b) as f32).collect::<Vec<f32>>();
        let overlaps: Vec<f32> = frames.par_iter().flat_map_iter(overlap).collect();
        let rows = frames.len() as i64;
        Self { overlaps: Some(Tensor::from_slice(&overlaps).view([rows, rows]).to_device(device)), ..self }
    }
}

/// The losses with their learned weights.
pub(super) struct Objective {
    absolute: PoseWeights,
    consistency: PoseWeights,
    odometry: PoseWeights,
    /// Where video without labels is learned from.
    unlabelled: Option<PoseWeights>,
    /// Learned weight of the segmentation, s.
    segmentation: Option<Tensor>,
    settings: TrainingConfig,
    rotation: RotationOutput,
    with_history: bool,
}

impl Objective {
    /// The learned weights under `path`: `absolute`, `consistency`, `odometry`, `unlabelled` where there is video, and
    /// `segmentation` where the network has a semantic stream.
    pub(super) fn new(path: &Path, config: &TrainingConfig, network: &NetworkConfig) -> Self {
        let weights = |name: &str| match config.weighting {
            Weighting::Learned => PoseWeights::learned(&(path / name), 0.0, -3.0),
            Weighting::Fixed { beta } => PoseWeights::Fixed { beta },
        };
        Self {
            absolute: weights("absolute"),
            consistency: weights("consistency"),
            odometry: weights("odometry"),
            unlabelled: config.unlabelled.map(|_| weights("unlabelled")),
            segmentation: network.semantics.as_ref().map(|_| path.zeros("segmentation", &[])),
            settings: config.clone(),
            rotation: network.rotation,
            with_history: network.temporal != Temporal::None,
        }
    }

    /// Whether the pose step owns this learned weight; else the odometry step does.
    pub(super) fn belongs_to_pose(name: &str) -> bool {
        !name.starts_with("odometry")
    }

    /// The loss of the odometry stream: the motion of each pair; zero for a network without one.
    pub(super) fn odometry(&self, network: &PoseNetwork, shared: &Features, truth: &Truth) -> Tensor {
        let Some(stream) = network.odometry() else {
            return Tensor::zeros([], (Kind::Float, shared.last().device()));
        };
        let features = stream.features(shared, true);
        let half = features.size()[0] / 2;
        let output = stream.relative(&features.narrow(0, 0, half), &features.narrow(0, half, half), true);
        let motion = relative_pose(&truth.previous, &truth.current);
        self.likely(&output, &motion) + self.odometry.apply(&self.errors(&output, &motion))
    }

    /// Checks whether a batch of this epoch, from 0, has what the losses want to know.
    ///
    /// # Errors
    /// [`Error::Config`] for what is missing.
    pub(super) fn check(&self, batch: &Batch, epoch: usize) -> Result<()> {
        if self.reprojects(epoch) && batch.points.is_none() {
            return Err(Error::config("reprojection", "a source that gives points of the scene", "one without"));
        }
        match (&self.unlabelled, &batch.video) {
            (Some(_), None) => return Err(Error::config("unlabelled", "data with pairs of a video", "data without")),
            (None, Some(_)) => return Err(Error::config("unlabelled", "settings for the video in the data", "none")),
            _ => {}
        }
        if self.segmentation.is_some() && batch.labels.is_none() {
            return Err(Error::config("network.semantics", "a source that gives labels of pixels", "one without"));
        }
        Ok(())
    }

    /// Whether the reprojection loss has taken the place of the pose loss in this epoch, from 0.
    fn reprojects(&self, epoch: usize) -> bool {
        let epochs = self.settings.epochs as f64;
        self.settings.reprojection.is_some_and(|reprojection| epoch as f64 >= reprojection.pretraining * epochs)
    }

    /// The loss of what a network answers with: the absolute poses of both frames of each pair, with the auxiliary heads,
    /// the consistency and the semantic stream, or how the frames of each pair are seen from each other.
    pub(super) fn pose(&self, network: &PoseNetwork, shared: &Features, truth: &Truth, epoch: usize) -> Tensor {
        if let Some(stream) = network.relative() {
            return self.relative(stream, shared, truth);
        }
        let half = shared.last().size()[0] / 2;
        let frames = [shared.narrow(0, half), shared.narrow(half, half)];
        let Some([previous, current]) = self.absolute_outputs(network, &frames, &truth.scenes) else {
            return Tensor::zeros([], (Kind::Float, shared.last().device()));
        };
        let reprojection = self.settings.reprojection.filter(|_| self.reprojects(epoch));
        let loss_of = |output: &PoseOutput, poses: &PoseTensor, start: i64| {
            let fit = match (reprojection, &truth.points) {
                (Some(Reprojection { weight, limit, .. }), Some(points)) => {
                    reprojection_loss(output.pose(), poses, &points.narrow(0, start, half), limit) * weight
                }
                _ => self.absolute.apply(&self.errors(output, poses)),
            };
            let loss = self.likely(output, poses) + fit;
            match output.anchored() {
                None => loss,
                Some(anchored) => {
                    loss + nearest_anchor_cross_entropy(anchored, &poses.translation_b3) * self.settings.anchor_weight
                }
            }
        };
        let mut loss = (loss_of(&previous, &truth.previous, 0) + loss_of(&current, &truth.current, half)) * 0.5;
        for (output, scenes) in [&previous, &current].into_iter().zip(truth.scenes.iter().flatten()) {
            if let Some(log_probability) = output.scenes_bs() {
                loss += scene_cross_entropy(log_probability, scenes) * (0.5 * self.settings.scene_weight);
            }
        }
        for (frames, truth) in frames.iter().zip([&truth.previous, &truth.current]) {
            for output in network.auxiliary(frames) {
                loss += self.absolute.apply(&self.errors(&output, truth)) * (0.5 * self.settings.auxiliary_weight);
            }
        }
        if self.settings.consistency_weight > 0.0 {
            let errors = match (self.settings.consistency, network.odometry()) {
                (Consistency::CrossTransformation, Some(stream)) => {
                    let [before, after] = frames.each_ref().map(|frames| stream.features(frames, true));
                    let motion = stream.relative(&before, &after, true);
                    let truths = [&truth.previous, &truth.current];
                    let poses = [previous.pose(), current.pose()];
                    cross_transformation_loss(poses, motion.pose(), truths, self.settings.norm)
                }
                _ => self.consistency_errors([previous.pose(), current.pose()], truth),
            };
            loss += self.consistency.apply(&errors) * self.settings.consistency_weight;
        }
        if let (Some(weight), Some(labels)) = (&self.segmentation, &truth.labels) {
            let size = [labels.size()[1], labels.size()[2]];
            if let Some(logits) = network.segmentation(shared, size) {
                loss += segmentation_loss(&logits, labels) * (-weight).exp() + weight;
            }
        }
        loss
    }

    /// The loss of a video's pairs, whose earlier frames come first: the motion between what the network says of them is
    /// `motion`, the odometry's `previous_from_current`.
    pub(super) fn unlabelled(&self, network: &PoseNetwork, shared: &Features, motion: &PoseTensor) -> Tensor {
        let half = shared.last().size()[0] / 2;
        let frames = [shared.narrow(0, half), shared.narrow(half, half)];
        let weight = self.settings.unlabelled.map_or(0.0, |unlabelled| unlabelled.weight);
        match (&self.unlabelled, self.absolute_outputs(network, &frames, &None)) {
            (Some(weights), Some([previous, current])) => {
                let errors = motion_loss([previous.pose(), current.pose()], motion, self.settings.norm);
                weights.apply(&errors) * weight
            }
            _ => Tensor::zeros([], (Kind::Float, shared.last().device())),
        }
    }

    /// The loss of a pair regressor, whose pairs are taken in both directions, and of its vectors against the overlaps.
    fn relative(&self, stream: &OdometryStream, shared: &Features, truth: &Truth) -> Tensor {
        let features = stream.features(shared, true);
        let half = features.size()[0] / 2;
        let (a, b) = (features.narrow(0, 0, half), features.narrow(0, half, half));
        let output = stream.relative(&features, &Tensor::cat(&[b, a], 0), true);
        let motion =
            joined(&relative_pose(&truth.previous, &truth.current), &relative_pose(&truth.current, &truth.previous));
        let loss = self.likely(&output, &motion) + self.absolute.apply(&self.errors(&output, &motion));
        match &truth.overlaps {
            Some(overlaps) => loss + overlap_loss(&stream.embedding(&features), overlaps) * self.settings.metric_weight,
            None => loss,
        }
    }

    fn errors(&self, output: &PoseOutput, truth: &PoseTensor) -> PoseErrors {
        let errors = output_errors(output, truth, self.rotation, self.settings.norm);
        match output.anchored() {
            None => errors,
            Some(anchored) => {
                PoseErrors { translation: expected_squared_offset(anchored, &truth.translation_b3), ..errors }
            }
        }
    }

    fn consistency_errors(&self, [previous, current]: [&PoseTensor; 2], truth: &Truth) -> PoseErrors {
        let norm = self.settings.norm;
        match self.settings.consistency {
            Consistency::Motion | Consistency::CrossTransformation => {
                let gradient = ConsistencyGradient::Both;
                geometric_consistency_loss(previous, current, &truth.previous, &truth.current, gradient, norm)
            }
            Consistency::Differences => {
                log_consistency_loss([previous, current], [&truth.previous, &truth.current], norm)
            }
        }
    }

    /// The outputs of the earlier and the later frames, in their true scenes where there are several; the later ones may
    /// know what was said of the earlier.
    fn absolute_outputs(
        &self,
        network: &PoseNetwork,
        [previous, current]: &[Features; 2],
        scenes: &Option<[Tensor; 2]>,
    ) -> Option<[PoseOutput; 2]> {
        let [before, after] = [0, 1].map(|index| scenes.as_ref().map(|scenes| &scenes[index]));
        let previous = network.absolute_in(previous, before, &History::none(), true)?;
        let history = match self.with_history {
            true => {
                let features = current.last();
                let keep = Tensor::rand([features.size()[0], 1], (Kind::Float, features.device())).gt(NO_HISTORY);
                History::of(&previous).keep(&keep.to_kind(Kind::Float))
            }
            false => History::none(),
        };
        let current = network.absolute_in(current, after, &history, true)?;
        Some([previous, current])
    }

    fn likely(&self, output: &PoseOutput, truth: &PoseTensor) -> Tensor {
        match output.log_variance_b6() {
            Some(log_variance) => nll_loss(output.pose(), log_variance, truth, true) * self.settings.variance_weight,
            None => Tensor::zeros([], (Kind::Float, output.rotation_bn().device())),
        }
    }
}

/// The rows of one below those of the other.
fn joined(first: &PoseTensor, second: &PoseTensor) -> PoseTensor {
    PoseTensor {
        translation_b3: Tensor::cat(&[&first.translation_b3, &second.translation_b3], 0),
        quaternion_b4: Tensor::cat(&[&first.quaternion_b4, &second.quaternion_b4], 0),
    }
}

/// The variables of a store that learn, with their names, sorted.
pub(super) fn learning(store: &VarStore) -> Vec<(String, Tensor)> {
    let mut variables: Vec<_> =
        store.variables().into_iter().filter(|(_, variable)| variable.requires_grad()).collect();
    variables.sort_by(|a, b| a.0.cmp(&b.0));
    variables
}
