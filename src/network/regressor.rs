//! Inference: frames in, poses with covariance out.

use std::path::Path;

use image::RgbImage;
use tch::Tensor;
use tch::nn::VarStore;

use super::autoencoder::PoseAutoencoder;
use super::card::ModelCard;
use super::config::NetworkConfig;
use super::device::{Device, guarded};
use super::gallery::Gallery;
use super::input::input_tensor;
use super::member::{Answer, Member, Opinion};
use super::pose_network::{Features, PoseNetwork};
use super::prediction::Prediction;
use super::references::{REFERENCES_FILE, References, encoder_maps};
use super::step_times::StepTimes;
use super::temporal::History;
use super::uncertainty::dropout_masks;
use super::visual_odometry::VisualOdometry;
use crate::alignment::AlignmentReport;
use crate::pnp::Evidence;
use crate::sensor::{AbsolutePose, PosePrior, RelativePose};
use crate::{Error, Result, Stamp};

/// An image as the network takes it: of the camera in its [`ModelCard`], rectified and resized.
#[derive(Clone, Debug)]
pub struct PixelFrame {
    /// When it was exposed.
    pub stamp: Stamp,
    /// Its colours.
    pub pixels: RgbImage,
}

/// What a model says of a frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Regression {
    /// Where the camera was.
    pub absolute: AbsolutePose,
    /// How it moved since the frame before; `None` when there was none, or too long ago.
    pub relative: Option<RelativePose>,
    /// What the absolute pose stands on, of a model that knows points; of an ensemble that of its first member.
    pub evidence: Option<Evidence>,
    /// How the absolute pose was aligned to reference frames, of a model that does.
    pub alignment: Option<AlignmentReport>,
}

/// An absolute pose, the relative one with the stamp that it begins at, what the first stands on, and how it was aligned.
type Said = (Prediction, Option<(Stamp, Prediction)>, Option<Evidence>, Option<AlignmentReport>);

/// A model at work. It remembers the frame before: its features, and what it said of it itself.
///
/// Of an ensemble all members answer, and the mean of their poses counts, absolute and relative alike, with a
/// covariance that has their spread in it; a look into the network ([`saliency`](Self::saliency),
/// [`embedding`](Self::embedding)) is one into its first member.
///
/// Of a model of several scenes it answers in one of them, which its user names: in the units, the map and for the camera of
/// that scene. An image that shows another, as the network says, has no answer ([`Error::OtherScene`]).
/// A model that knows points ([`scene_coordinates`](super::scene_coordinates)) leaves the pose to geometry, and has no answer
/// where too few points agree ([`Error::NoAnswer`]). Of a large place, whose parts have a head each, those parts are tried whose
/// training images look most alike, and the pose that most points agree with counts. Where there is no answer,
/// [`PoseRegressor::motion`] tells how the camera moved.
/// With reference frames whose card says so, such a measured pose is aligned to what they saw ([`References::align`]); its covariance
/// stays the measured one. What any other model says is a proposal then: the pose is measured from what is recognized of them
/// ([`recognition`](super::references::recognition)), and has the covariance of that.
/// With a pose auto-encoder whose card says so, the training poses nearest to its own answer refine the position
/// ([`PoseAutoencoder::refine`]); the orientation stays, and so does what is remembered of the frame.
///
/// No pose can be handed to it but a [`PosePrior`], which nothing but an estimate becomes, so no evaluation can help it with
/// a true one:
///
/// ```no_run
/// use vloc::network::{PixelFrame, PoseRegressor, Regression};
/// fn evaluate(regressor: &mut PoseRegressor, frame: &PixelFrame) -> vloc::Result<Regression> {
///     regressor.regress(frame)
/// }
/// ```
///
/// ```compile_fail,E0061
/// use vloc::network::{PixelFrame, PoseRegressor, Regression};
/// fn evaluate(regressor: &mut PoseRegressor, frame: &PixelFrame, truth: vloc::geometry::Se3) -> vloc::Result<Regression> {
///     regressor.regress(frame, truth) // there is no such argument
/// }
/// ```
///
/// ```compile_fail,E0624
/// use vloc::network::{PixelFrame, PoseRegressor, Regression};
/// use vloc::sensor::PosePrior;
/// fn evaluate(regressor: &mut PoseRegressor, frame: &PixelFrame, truth: vloc::geometry::Se3) -> vloc::Result<Regression> {
///     regressor.regress_near(frame, &PosePrior::new(truth)) // private
/// }
/// ```
#[derive(Debug)]
pub struct PoseRegressor {
    card: ModelCard,
    first: Member,
    others: Vec<Member>,
    /// Whether the shared features of the first member are those of all.
    one_trunk: bool,
    masks: Vec<Tensor>,
    odometry_masks: Vec<Tensor>,
    half_precision: bool,
    /// The number of the scene that it answers in, of several.
    scene: Option<usize>,
    autoencoder: Option<PoseAutoencoder>,
    pub(super) references: Option<References>,
    pub(super) odometry: VisualOdometry,
    times: StepTimes,
}

impl PoseRegressor {
    /// Reads a model folder and checks its weights against its card.
    ///
    /// # Errors
    /// Those of [`ModelCard::read`], [`Device::resolve`] and [`checkpoint::load`](super::checkpoint::load);
    /// [`Error::Model`] when the weights, the gallery or the images of a large place are not those the card was written with; [`Error::Config`] for a
    /// model of several scenes, of which one must be named.
    pub fn load(folder: &Path, device: Device) -> Result<Self> {
        Self::load_in(folder, "", device)
    }

    /// The same for one scene of a model of several; an empty name is that of the only place there is.
    ///
    /// # Errors
    /// As [`PoseRegressor::load`], and those of [`ModelCard::scene`].
    pub fn load_in(folder: &Path, scene: &str, device: Device) -> Result<Self> {
        let card = ModelCard::read(folder)?;
        let scene = card.scene(scene)?;
        Ok(Self::load_with(card, folder, device.resolve()?)?.in_scene(scene))
    }

    /// The same with a card that is not written yet.
    pub(crate) fn load_with(card: ModelCard, folder: &Path, device: tch::Device) -> Result<Self> {
        let parts = card.parts();
        let mut members =
            parts.iter().map(|parts| Member::load(&card, parts, folder, device)).collect::<Result<Vec<_>>>()?;
        let first = members.remove(0);
        let autoencoder = card.autoencoder.as_ref();
        let autoencoder = autoencoder
            .map(|record| PoseAutoencoder::load(folder, record, &card.network, card.map_from_normalized, device));
        let autoencoder = autoencoder.transpose()?;
        let references = card.references.as_ref();
        let load = |record| References::load(&folder.join(REFERENCES_FILE), record, card.map_from_normalized);
        let references = references.map(load).transpose()?;
        Ok(Self { autoencoder, references, ..Self::with_members(card, first, members) })
    }

    /// A regressor over a network in memory, for validation while it trains.
    pub fn from_parts(card: ModelCard, network: PoseNetwork, store: VarStore) -> Self {
        let member = Member::new(network, store, card.map_from_normalized);
        Self::with_members(card, member, Vec::new())
    }

    fn with_members(card: ModelCard, first: Member, others: Vec<Member>) -> Self {
        let masks = dropout_masks(&card.network, first.store.device());
        let widths = &card.network.hidden;
        let odometry_masks = masks.iter().zip(widths).map(|(mask, width)| mask.narrow(1, 0, *width)).collect();
        let one_trunk = others.iter().all(|other| other.has_trunk_of(&first));
        let (half_precision, scene, times) = (false, None, StepTimes::default());
        let odometry = VisualOdometry::default();
        let (autoencoder, references) = (None, None);
        Self {
            card,
            first,
            others,
            one_trunk,
            masks,
            odometry_masks,
            half_precision,
            scene,
            autoencoder,
            references,
            odometry,
            times,
        }
    }

    /// Answers in the scene of this number, with its card; `None` for a model that knows one place.
    pub(crate) fn in_scene(mut self, scene: Option<usize>) -> Self {
        if let Some(scene) = scene {
            let card = self.card.of_scene(scene);
            self.members().for_each(|member| member.units = card.map_from_normalized);
            self.card = card;
        }
        Self { scene, ..self }
    }

    /// Answers from these training images, for an architecture with a gallery; of an ensemble they are the first member's.
    pub fn with_gallery(mut self, gallery: Gallery) -> Self {
        self.first.gallery = Some(gallery);
        self
    }

    /// Computes in half precision where a GPU does; a CPU stays with single.
    pub fn with_half_precision(mut self, half_precision: bool) -> Self {
        self.half_precision = half_precision;
        self
    }

    /// Averages the poses of `count` parts of each frame, where the architecture sees parts.
    ///
    /// # Errors
    /// [`Error::Config`] for an architecture that sees the whole input, or a count out of range.
    pub fn with_crops(mut self, count: usize) -> Result<Self> {
        match &mut self.card.network.crop {
            Some(crop) => crop.count = count,
            None => {
                let expected = "a model that sees parts of its input (crop in its model.yaml)";
                return Err(Error::config("crops", expected, format!("{}, which sees all of it", self.card.name)));
            }
        }
        self.card.network.check()?;
        Ok(self)
    }

    /// Refines positions with `count` training poses, where the model has a pose auto-encoder; 0 for not at all.
    ///
    /// # Errors
    /// [`Error::Config`] for a model without one, or with fewer training poses.
    pub fn with_neighbours(mut self, count: usize) -> Result<Self> {
        let Some(autoencoder) = self.autoencoder else {
            let expected = "a model with a pose auto-encoder (vloc autoencode trains one)";
            return Err(Error::config("neighbours", expected, format!("{}, which has none", self.card.name)));
        };
        self.autoencoder = Some(autoencoder.with_neighbours(count)?);
        Ok(self)
    }

    /// Aligns poses to the reference frames of the model, or does not.
    ///
    /// # Errors
    /// [`Error::Config`] where they should be and it has none.
    pub fn with_alignment(mut self, align: bool) -> Result<Self> {
        match &mut self.card.references {
            Some(record) => record.used = align,
            None if align => {
                let expected = "a model with reference frames (vloc align adds them)";
                return Err(Error::config("align", expected, format!("{}, which has none", self.card.name)));
            }
            None => (),
        }
        Ok(self)
    }

    /// The reference frames that poses are aligned to.
    pub(super) fn used_references(&self) -> Option<&References> {
        self.references.as_ref().filter(|_| self.card.references.as_ref().is_some_and(|record| record.used))
    }

    /// The model's card; of a model of several scenes, as the scene in use has it.
    pub fn card(&self) -> &ModelCard {
        &self.card
    }

    /// Whether it says which points of the map a frame shows, and leaves the pose to geometry.
    pub(super) fn knows_points(&self) -> bool {
        self.card.network.scene_coordinates().is_some()
    }

    /// Whether geometry measures its poses, from points that it knows or that it recognizes; else a network says them.
    pub fn measures(&self) -> bool {
        self.knows_points() || self.card.recognizes()
    }

    /// The number of the scene in use, of a model of several.
    pub fn scene(&self) -> Option<usize> {
        self.scene
    }

    /// The scene in use as the network takes it, for one row.
    pub(super) fn scene_1(&self) -> Option<Tensor> {
        self.scene.map(|scene| Tensor::from_slice(&[scene as i64]).to_device(self.device()))
    }

    /// The network, of an ensemble the first, for a look into it.
    pub(super) fn network(&self) -> &PoseNetwork {
        &self.first.network
    }

    /// The member whose network that is.
    pub(super) fn first(&self) -> &Member {
        &self.first
    }

    /// The training images that it compares a frame with, of an ensemble those of the first.
    pub(super) fn gallery(&self) -> Option<&Gallery> {
        self.first.gallery.as_ref()
    }

    /// Where it computes.
    pub fn device(&self) -> tch::Device {
        self.first.store.device()
    }

    /// How long the steps of the last answer took.
    pub fn step_times(&self) -> &StepTimes {
        &self.times
    }

    /// Forgets the frame before: the next has neither a relative pose nor a history.
    pub fn reset(&mut self) {
        self.members().for_each(Member::reset);
        self.odometry.reset();
    }

    fn members(&mut self) -> impl Iterator<Item = &mut Member> {
        std::iter::once(&mut self.first).chain(&mut self.others)
    }

    /// The poses of a frame. The same frames in the same order give the same bytes. A frame that is not later than the
    /// one before, or later by more than the card's `max_pair_interval`, starts anew.
    ///
    /// # Errors
    /// [`Error::Message`] for an image of another size; [`Error::Compute`] when libtorch fails or a number is not
    /// finite; [`Error::OtherScene`] for an image of another scene than the one in use; [`Error::NoAnswer`] of a model that
    /// knows points, where too few of them agree. The frame before is forgotten then.
    pub fn regress(&mut self, frame: &PixelFrame) -> Result<Regression> {
        let regression = self.regress_uncalibrated(frame)?;
        self.calibrated(regression)
    }

    /// The same where the camera is expected: a model that knows points begins its search there, takes less time where the
    /// expectation is right, and finds another pose where it is not. Other models make nothing of it.
    ///
    /// # Errors
    /// As [`PoseRegressor::regress`].
    pub fn regress_near(&mut self, frame: &PixelFrame, prior: &PosePrior) -> Result<Regression> {
        let regression = self.uncalibrated(frame, Some(prior))?;
        self.calibrated(regression)
    }

    fn calibrated(&self, mut regression: Regression) -> Result<Regression> {
        let ModelCard { calibration, relative_calibration, .. } = &self.card;
        regression.absolute.covariance = self.card.pose_calibration().apply(&regression.absolute.covariance)?;
        if let Some(relative) = &mut regression.relative {
            // Models of before had one calibration for both.
            relative.covariance = relative_calibration.unwrap_or(*calibration).apply(&relative.covariance)?;
        }
        Ok(regression)
    }

    /// The same with covariances before calibration: what [`Calibration::fit`] takes.
    ///
    /// # Errors
    /// As [`PoseRegressor::regress`].
    ///
    /// [`Calibration::fit`]: super::Calibration::fit
    pub fn regress_uncalibrated(&mut self, frame: &PixelFrame) -> Result<Regression> {
        self.uncalibrated(frame, None)
    }

    fn uncalibrated(&mut self, frame: &PixelFrame, prior: Option<&PosePrior>) -> Result<Regression> {
        let (absolute, relative, evidence, alignment) = self.predict(frame, prior)?;
        let Prediction { pose: map_from_camera, raw_covariance: covariance } = absolute;
        let absolute = AbsolutePose { stamp: frame.stamp, map_from_camera, covariance };
        let relative = relative.map(|(previous_stamp, Prediction { pose, raw_covariance: covariance })| RelativePose {
            previous_stamp,
            stamp: frame.stamp,
            previous_from_current: pose,
            covariance,
        });
        Ok(Regression { absolute, relative, evidence, alignment })
    }

    fn predict(&mut self, frame: &PixelFrame, prior: Option<&PosePrior>) -> Result<Said> {
        let max_interval = self.card.max_pair_interval;
        self.members().for_each(|member| member.forget_unless_before(frame.stamp, max_interval));
        let (opinions, alignment) = self.opinions(frame, prior).inspect_err(|error| match error {
            // The camera is followed on, wherever it is.
            Error::NoAnswer { .. } => self.members().for_each(Member::reset),
            _ => self.reset(),
        })?;
        let absolute: Vec<Prediction> = opinions.iter().map(|opinion| opinion.absolute).collect();
        let relative: Vec<Prediction> = opinions.iter().filter_map(|opinion| Some(opinion.relative?.1)).collect();
        let spread = !self.card.cross_fitted;
        // All members saw the same frame before.
        let before = opinions.first().and_then(|opinion| Some(opinion.relative?.0));
        let relative = match before {
            Some(before) => Some((before, Prediction::of_members(&relative, spread)?)),
            None => None,
        };
        let evidence = opinions.first().and_then(|opinion| opinion.evidence);
        Ok((Prediction::of_members(&absolute, spread)?, relative, evidence, alignment))
    }

    fn opinions(
        &mut self,
        frame: &PixelFrame,
        prior: Option<&PosePrior>,
    ) -> Result<(Vec<Opinion>, Option<AlignmentReport>)> {
        let mut times = StepTimes::start(self.device());
        let input = self.input(frame)?;
        let half = self.half_precision && self.device().is_cuda();
        let look = || -> Result<_> {
            let shared = self.first.network.shared(&input, false);
            times.features();
            let maps = encoder_maps(&self.card.network, &shared).filter(|_| self.others.is_empty());
            Ok((self.answers(&input, &shared)?, self.refining_embedding(&shared), maps))
        };
        let (answers, embedding, raw) = guarded("network", || tch::no_grad(|| tch::autocast(half, look)))??;
        times.answers();
        self.check_scene(&answers)?;
        let parts = self.card.network.crop.is_some_and(|crop| crop.count > 1);
        let (camera, answered) = (self.card.camera, self.members().zip(answers));
        let remember =
            |(member, answer): (&mut Member, _)| member.remember(answer, (frame.stamp, &camera), prior, parts);
        let opinions = answered.map(remember).collect::<Result<Vec<_>>>();
        let maps = self.compressed(raw, &opinions)?;
        let measured = opinions.and_then(|opinions| self.measured(opinions, maps.as_ref(), prior));
        let (opinions, measured) = match measured {
            Ok((opinions, report)) => (Ok(opinions), report),
            Err(error) => (Err(error), None),
        };
        self.follow(frame.stamp, maps.as_ref(), &opinions);
        let mut opinions = opinions;
        let alignment = measured.or_else(|| self.align(opinions.as_deref_mut().ok()?, maps.as_ref()));
        times.poses();
        self.times = times;
        let mut opinions = opinions?;
        if let (Some(autoencoder), Some(embedding), Some(opinion @ Opinion { evidence: None, .. })) =
            (&self.autoencoder, embedding, opinions.first_mut())
        {
            let pose = opinion.absolute.pose;
            opinion.absolute.pose = guarded("refinement", || autoencoder.refine(pose, &embedding))??;
        }
        Ok((opinions, alignment))
    }

    /// What a pose auto-encoder that refines positions compares with its encodings: they know no frame before.
    fn refining_embedding(&self, shared: &Features) -> Option<Tensor> {
        let refines = self.autoencoder.as_ref().is_some_and(|autoencoder| autoencoder.neighbours() > 0);
        refines.then(|| self.first.network.embedding(shared, &History::none()))
    }

    /// What the network sees of a frame: one row, or one per part of it.
    fn input(&self, frame: &PixelFrame) -> Result<Tensor> {
        let NetworkConfig { input, normalization, crop, .. } = &self.card.network;
        let image = input_tensor(&[&frame.pixels], *input, normalization, self.device())?;
        Ok(crop.map_or_else(|| image.shallow_clone(), |crop| crop.parts(&image, *input)))
    }

    /// What the members say of a frame, of which `shared` is what the first makes of it, the first member first.
    fn answers(&self, input_b3hw: &Tensor, shared: &Features) -> Result<Vec<Answer>> {
        let scene = self.scene_1();
        let answer =
            |member: &Member, shared: &_| member.answer((shared, scene.as_ref()), &self.masks, &self.odometry_masks);
        let others = self.others.iter().map(|other| match self.one_trunk {
            true => answer(other, shared),
            false => answer(other, &other.network.shared(input_b3hw, false)),
        });
        std::iter::once(answer(&self.first, shared)).chain(others).collect()
    }
}

impl PoseRegressor {
    /// Whether the image shows the scene in use: the likeliest by the mean of what the members say.
    fn check_scene(&self, answers: &[Answer]) -> Result<()> {
        let Some(scene) = self.scene else { return self.card.scene("").map(|_| ()) };
        let said: Vec<Vec<f64>> = answers.iter().filter_map(Answer::scenes).collect();
        let mean = |index: usize| said.iter().map(|scenes| scenes[index]).sum::<f64>() / said.len() as f64;
        let scenes = self.card.scenes.iter().enumerate().map(|(index, scene)| (index, &scene.name, mean(index)));
        match scenes.max_by(|a, b| a.2.total_cmp(&b.2)) {
            Some((likeliest, name, probability)) if likeliest != scene => {
                let (expected, found) = (self.card.scenes[scene].name.clone(), name.clone());
                Err(Error::OtherScene { expected, found, probability })
            }
            _ => Ok(()),
        }
    }
}
