//! Inference: frames in, poses with covariance out.

use std::path::Path;

use image::RgbImage;
use tch::Tensor;
use tch::nn::VarStore;

use super::card::{ModelCard, WEIGHTS_FILE};
use super::checkpoint;
use super::config::NetworkConfig;
use super::device::{Device, guarded};
use super::gallery::Gallery;
use super::input::input_tensor;
use super::pose_head::{Dropout, PoseOutput};
use super::pose_network::PoseNetwork;
use super::prediction::{Prediction, mean_prediction, prediction};
use super::temporal::History;
use super::uncertainty::dropout_masks;
use crate::sensor::{AbsolutePose, RelativePose};
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
}

/// What stays of a frame until the next comes.
#[derive(Debug)]
struct Previous {
    stamp: Stamp,
    odometry_features: Option<Tensor>,
    output: PoseOutput,
}

/// A model at work. It remembers the frame before: its features, and what it said of it itself.
///
/// No pose can be handed to it, so no evaluation can help it with a true one:
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
#[derive(Debug)]
pub struct PoseRegressor {
    card: ModelCard,
    network: PoseNetwork,
    store: VarStore,
    masks: Vec<Tensor>,
    odometry_masks: Vec<Tensor>,
    half_precision: bool,
    gallery: Option<Gallery>,
    previous: Option<Previous>,
}

impl PoseRegressor {
    /// Reads a model folder and checks its weights against its card.
    ///
    /// # Errors
    /// Those of [`ModelCard::read`], [`Device::resolve`] and [`checkpoint::load`]; [`Error::Model`] when the weights
    /// or the gallery are not those the card was written with.
    pub fn load(folder: &Path, device: Device) -> Result<Self> {
        let card = ModelCard::read(folder)?;
        let weights = folder.join(WEIGHTS_FILE);
        let device = device.resolve()?;
        let mut store = VarStore::new(device);
        let network = guarded("building the network", || PoseNetwork::new(&store.root(), &card.network))??;
        guarded("loading the weights", || checkpoint::load(&store, &weights))??;
        let found = checkpoint::sha256(&weights)?;
        if found != card.weights.sha256 {
            let expected = format!("SHA-256 {} as in model.yaml", card.weights.sha256);
            return Err(Error::model(
                &weights,
                expected,
                format!("{found}; keep the two files of one training together"),
            ));
        }
        store.freeze();
        let gallery = match &card.gallery {
            Some(record) => Some(Gallery::load(folder, record, &card.map_from_normalized, device)?),
            None => None,
        };
        Ok(Self { gallery, ..Self::from_parts(card, network, store) })
    }

    /// A regressor over a network in memory, for validation while it trains.
    pub fn from_parts(card: ModelCard, network: PoseNetwork, store: VarStore) -> Self {
        let masks = dropout_masks(&card.network, store.device());
        let widths = &card.network.hidden;
        let odometry_masks = masks.iter().zip(widths).map(|(mask, width)| mask.narrow(1, 0, *width)).collect();
        Self { card, network, store, masks, odometry_masks, half_precision: false, gallery: None, previous: None }
    }

    /// Answers from these training images, for an architecture with a gallery.
    pub fn with_gallery(self, gallery: Gallery) -> Self {
        Self { gallery: Some(gallery), ..self }
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

    /// The model's card.
    pub fn card(&self) -> &ModelCard {
        &self.card
    }

    /// The network, for a look into it.
    pub(super) fn network(&self) -> &PoseNetwork {
        &self.network
    }

    /// The training images that it compares a frame with.
    pub(super) fn gallery(&self) -> Option<&Gallery> {
        self.gallery.as_ref()
    }

    /// Where it computes.
    pub fn device(&self) -> tch::Device {
        self.store.device()
    }

    /// Forgets the frame before: the next has neither a relative pose nor a history.
    pub fn reset(&mut self) {
        self.previous = None;
    }

    /// The poses of a frame. The same frames in the same order give the same bytes. A frame that is not later than the
    /// one before, or later by more than the card's `max_pair_interval`, starts anew.
    ///
    /// # Errors
    /// [`Error::Message`] for an image of another size; [`Error::Compute`] when libtorch fails or a number is not
    /// finite. The frame before is forgotten then.
    pub fn regress(&mut self, frame: &PixelFrame) -> Result<Regression> {
        let (absolute, relative) = self.predict(frame)?;
        let calibrated = |prediction: &Prediction| self.card.calibration.apply(&prediction.raw_covariance);
        let relative = relative.map(|(previous_stamp, prediction)| {
            let previous_from_current = prediction.pose;
            calibrated(&prediction).map(|covariance| RelativePose {
                previous_stamp,
                stamp: frame.stamp,
                previous_from_current,
                covariance,
            })
        });
        let covariance = calibrated(&absolute)?;
        Ok(Regression {
            absolute: AbsolutePose { stamp: frame.stamp, map_from_camera: absolute.pose, covariance },
            relative: relative.transpose()?,
        })
    }

    /// The absolute pose of a frame with its covariance before calibration: what [`Calibration::fit`] takes.
    ///
    /// # Errors
    /// As [`PoseRegressor::regress`].
    ///
    /// [`Calibration::fit`]: super::Calibration::fit
    pub fn regress_uncalibrated(&mut self, frame: &PixelFrame) -> Result<AbsolutePose> {
        let (absolute, _) = self.predict(frame)?;
        Ok(AbsolutePose { stamp: frame.stamp, map_from_camera: absolute.pose, covariance: absolute.raw_covariance })
    }

    fn predict(&mut self, frame: &PixelFrame) -> Result<(Prediction, Option<(Stamp, Prediction)>)> {
        let max_interval = self.card.max_pair_interval;
        let previous = self.previous.take().filter(|previous| {
            let interval = frame.stamp.seconds_since(previous.stamp);
            interval > 0.0 && interval <= max_interval
        });
        let input = self.input(frame)?;
        let half = self.half_precision && self.device().is_cuda();
        if let Some(gallery) = &self.gallery {
            let answer =
                || gallery.locate(&self.network, &self.network.shared(&input, false), Dropout::Masks(&self.masks));
            let answer = guarded("network", || tch::no_grad(|| tch::autocast(half, answer)))??;
            return Ok((answer, None));
        }
        let (absolute, relative, odometry_features) =
            guarded("network", || tch::no_grad(|| tch::autocast(half, || self.forward(&input, previous.as_ref()))))?;
        let absolute = absolute.ok_or_else(no_gallery)?;
        let units = &self.card.map_from_normalized;
        let parts = self.card.network.crop.is_some_and(|crop| crop.count > 1);
        let result = (
            if parts { mean_prediction(&absolute, units)? } else { prediction(&absolute, units)? },
            match (&previous, relative) {
                (Some(previous), Some(output)) => Some((previous.stamp, prediction(&output, &units.relative())?)),
                _ => None,
            },
        );
        self.previous = Some(Previous { stamp: frame.stamp, odometry_features, output: absolute });
        Ok(result)
    }

    /// What the network sees of a frame: one row, or one per part of it.
    fn input(&self, frame: &PixelFrame) -> Result<Tensor> {
        let NetworkConfig { input, normalization, crop, .. } = &self.card.network;
        let image = input_tensor(&[&frame.pixels], *input, normalization, self.device())?;
        Ok(crop.map_or_else(|| image.shallow_clone(), |crop| crop.parts(&image, *input)))
    }

    /// Absolute output, relative output, and the features for the next frame. Outputs of one row in have the
    /// deterministic prediction in their first row and the samples behind it.
    fn forward(
        &self,
        input_b3hw: &Tensor,
        previous: Option<&Previous>,
    ) -> (Option<PoseOutput>, Option<PoseOutput>, Option<Tensor>) {
        let network = &self.network;
        let shared = network.shared(input_b3hw, false);
        let history = previous.map_or_else(History::none, |previous| History::of_first(&previous.output));
        let absolute = match input_b3hw.size()[0] {
            1 => network.absolute_samples(&shared, &history, &self.masks),
            _ => network.absolute(&shared, &history, false),
        };
        let Some(odometry) = network.odometry() else { return (absolute, None, None) };
        let current = odometry.features(&shared, false);
        let before = previous.and_then(|previous| previous.odometry_features.as_ref());
        let relative = before.map(|before| odometry.relative_samples(before, &current, &self.odometry_masks));
        (absolute, relative, Some(current))
    }
}

/// Why a network that compares says nothing of a frame alone.
pub(super) fn no_gallery() -> Error {
    let reason = "expected training images to compare the frame with, found none; load the model from its folder";
    Error::compute("pose regression", reason)
}
