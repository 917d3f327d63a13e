//! From an image message to a job for the network: in order, and with the calibration that belongs to it.

use std::sync::Arc;

use super::health::Reason;
use super::localizer::Job;
use crate::middleware::Picture;
use crate::sensor::CameraModel;
use crate::vision::Preprocessor;
use crate::{Error, Result, Stamp};

/// What is known of the camera and of the images so far.
pub(super) struct Intake {
    network_camera: Option<CameraModel>,
    min_contrast: f64,
    calibration: Option<Calibration>,
    newest: Option<Stamp>,
    /// Which run of the clock this is.
    epoch: u64,
}

struct Calibration {
    announced: CameraModel,
    /// Known once the network's camera is.
    preprocessor: Option<Arc<Preprocessor>>,
}

impl Intake {
    /// Knows neither the network's camera nor that of the images.
    pub fn new(min_contrast: f64) -> Self {
        Self { network_camera: None, min_contrast, calibration: None, newest: None, epoch: 0 }
    }

    /// Images below this contrast show nothing.
    pub fn set_min_contrast(&mut self, levels: f64) {
        self.min_contrast = levels;
    }

    /// The network sees through this camera.
    pub fn set_network_camera(&mut self, camera: CameraModel) -> Result<()> {
        if let Some(calibration) = &mut self.calibration {
            calibration.preprocessor = Some(Arc::new(Preprocessor::new(&calibration.announced, &camera)?));
        }
        self.network_camera = Some(camera);
        Ok(())
    }

    /// Which run of the clock this is.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The clock jumped back: images of before are no sequence with those that come.
    pub fn start_epoch(&mut self) {
        self.epoch += 1;
        self.newest = None;
    }

    /// How far an image is behind the newest one, seconds.
    pub fn seconds_behind(&self, stamp: Stamp) -> f64 {
        self.newest.map_or(0.0, |newest| newest.seconds_since(stamp))
    }

    /// Takes a `camera_info`; it may change at any time.
    pub fn calibrate(&mut self, announced: CameraModel) -> Result<()> {
        if self.calibration.as_ref().is_some_and(|known| known.announced == announced) {
            return Ok(());
        }
        let preprocessor = self.network_camera.map(|camera| Preprocessor::new(&announced, &camera)).transpose()?;
        self.calibration = Some(Calibration { announced, preprocessor: preprocessor.map(Arc::new) });
        Ok(())
    }

    /// Whether the camera of the images is known.
    pub fn is_calibrated(&self) -> bool {
        self.calibration.is_some()
    }

    /// Takes an image.
    pub fn admit(&mut self, picture: Picture) -> Result<Job, (Reason, Error)> {
        let stamp = picture.stamp();
        if let Some(newest) = self.newest.filter(|newest| stamp <= *newest) {
            let error = Error::message("image", format!("a stamp after {newest}"), stamp.to_string());
            return Err((Reason::ImageOutOfOrder, error));
        }
        self.newest = Some(stamp);
        let calibration = self.calibration.as_ref().ok_or_else(|| {
            let found = "none yet; is camera_info published, with the same QoS as image, and remapped with it?";
            (Reason::NoCameraInfo, Error::message("image", "a usable camera_info before it", found))
        })?;
        let no_network = || {
            let error = Error::compute("network", "an image came before a model was loaded");
            (Reason::NetworkFailed, error)
        };
        Ok(Job {
            picture,
            preprocessor: calibration.preprocessor.clone().ok_or_else(no_network)?,
            announced_size: (calibration.announced.width, calibration.announced.height),
            min_contrast: self.min_contrast,
            epoch: self.epoch,
            prior: None,
        })
    }
}
