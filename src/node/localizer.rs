//! What the node needs of a network, and how an image gets there.

use std::sync::Arc;

use image::RgbImage;

use super::health::Reason;
use crate::alignment::AlignmentReport;
use crate::middleware::Picture;
use crate::pnp::Evidence;
use crate::sensor::{AbsolutePose, CameraModel, PosePrior, RelativePose};
use crate::vision::{Preprocessor, compressed_size, contrast, decode, decode_compressed};
use crate::{Error, Result, Stamp};

/// Something that tells from pixels where the camera is. It is given no pose of anything but what the estimate expects.
pub trait Localizer: Send {
    /// The pinhole camera of the pixels that [`Localizer::localize`] takes.
    fn camera(&self) -> CameraModel;
    /// Where the camera was. Images come in the order of their stamps.
    ///
    /// # Errors
    /// What the computation says; the node counts it and publishes no pose.
    fn localize(&mut self, stamp: Stamp, pixels: RgbImage) -> Result<Localization>;
    /// The same while the robot is tracked, with where the camera is expected: to search there first, and elsewhere if the image
    /// says so.
    ///
    /// # Errors
    /// As [`Localizer::localize`].
    fn localize_near(&mut self, stamp: Stamp, pixels: RgbImage, prior: &PosePrior) -> Result<Localization> {
        let _ = prior;
        self.localize(stamp, pixels)
    }
    /// How the camera moved to the last image, where [`Localizer::localize`] had no answer to it ([`Error::NoAnswer`]) but it shares
    /// something with one before it.
    fn motion(&self) -> Option<RelativePose> {
        None
    }
    /// Time over which the errors of its successive answers are alike, seconds; `None` where it was not measured.
    fn correlation_time(&self) -> Option<f64> {
        None
    }
    /// Where it computes, for diagnostics.
    fn device(&self) -> String {
        "cpu".into()
    }
    /// Forgets the images before.
    fn reset(&mut self);
}

/// What a network makes of an image.
#[derive(Clone, Debug, PartialEq)]
pub struct Localization {
    /// Where the camera was.
    pub absolute: AbsolutePose,
    /// How it moved since the image before; `None` when there was none, or too long ago.
    pub relative: Option<RelativePose>,
    /// What the absolute pose stands on, where geometry measured it.
    pub evidence: Option<Evidence>,
    /// How it was aligned to reference frames, where the model has some.
    pub alignment: Option<AlignmentReport>,
}

/// An image with what is needed to bring it to the network.
pub struct Job {
    /// The image.
    pub picture: Picture,
    /// From the pixels of `camera_info` to those of the network.
    pub preprocessor: Arc<Preprocessor>,
    /// Size of the images that `camera_info` announced.
    pub announced_size: (u32, u32),
    /// Standard deviation of the brightness below which an image shows nothing, levels of 256.
    pub min_contrast: f64,
    /// Which run of the clock the image belongs to: images of different runs are no sequence.
    pub epoch: u64,
    /// Where the camera is expected; `None` unless the robot is tracked.
    pub prior: Option<PosePrior>,
}

/// What became of a [`Job`].
#[derive(Debug)]
pub struct Answer {
    /// The stamp of the image.
    pub stamp: Stamp,
    /// The frame of the image.
    pub frame_id: String,
    /// The run of the clock it belongs to.
    pub epoch: u64,
    /// What the network says, or why it says nothing.
    pub result: Result<Localization, (Reason, Error)>,
    /// Of an image whose place is not known, how the camera moved to it all the same.
    pub motion: Option<RelativePose>,
    /// Seconds of work on it, where time is measured.
    pub seconds: Option<f64>,
}

/// A network at work on one image after the other.
#[derive(Debug)]
pub struct Worker<L> {
    localizer: L,
    epoch: u64,
}

impl<L: Localizer> Worker<L> {
    /// A worker that has seen no image.
    pub fn new(localizer: L) -> Self {
        Self { localizer, epoch: 0 }
    }

    /// What looks at the images.
    pub fn localizer(&self) -> &L {
        &self.localizer
    }

    /// Decodes, rectifies and localizes one image.
    pub fn work(&mut self, job: Job) -> Answer {
        if job.epoch != self.epoch {
            self.localizer.reset();
            self.epoch = job.epoch;
        }
        let (stamp, frame_id) = (job.picture.stamp(), job.picture.frame_id().to_owned());
        let result = pixels(&job).and_then(|pixels| {
            let localized = match &job.prior {
                Some(prior) => self.localizer.localize_near(stamp, pixels, prior),
                None => self.localizer.localize(stamp, pixels),
            };
            localized.and_then(usable).map_err(|error| match error {
                Error::OtherScene { .. } => (Reason::OtherScene, error),
                Error::NoAnswer { .. } => (Reason::PlaceUnknown, error),
                _ => (Reason::NetworkFailed, error),
            })
        });
        let motion = match &result {
            Err((Reason::PlaceUnknown, _)) => self.localizer.motion().filter(is_usable),
            _ => None,
        };
        Answer { stamp, frame_id, epoch: job.epoch, result, motion, seconds: None }
    }
}

fn pixels(job: &Job) -> Result<RgbImage, (Reason, Error)> {
    let undecodable = |error| (Reason::ImageUndecodable, error);
    // Before it is decoded: that takes time and memory as the message claims.
    let claimed = match &job.picture {
        Picture::Raw(image) => (image.width, image.height),
        Picture::Compressed(image) => compressed_size(image).map_err(undecodable)?,
    };
    if claimed != job.announced_size {
        let ((width, height), (expected_width, expected_height)) = (claimed, job.announced_size);
        let expected = format!("{expected_width} x {expected_height} pixels, as camera_info says");
        return Err((Reason::ImageSize, Error::message("image", expected, format!("{width} x {height}"))));
    }
    let decoded = match &job.picture {
        Picture::Raw(image) => decode(image),
        Picture::Compressed(image) => decode_compressed(image),
    };
    let pixels = decoded.and_then(|rgb| job.preprocessor.apply(&rgb)).map_err(undecodable)?;
    let found = contrast(&pixels);
    if found < job.min_contrast {
        let expected = format!("a contrast of {} levels or more (min_image_contrast)", job.min_contrast);
        let found = format!("{found:.1}: is the camera covered, or its exposure wrong?");
        return Err((Reason::ImageWithoutContrast, Error::message("image", expected, found)));
    }
    Ok(pixels)
}

fn usable(localization: Localization) -> Result<Localization> {
    let relative = localization.relative.as_ref();
    if localization.absolute.map_from_camera.is_finite() && relative.is_none_or(is_usable) {
        return Ok(localization);
    }
    Err(Error::compute("network", "a pose that is not finite"))
}

fn is_usable(relative: &RelativePose) -> bool {
    relative.previous_from_current.is_finite()
}
