//! What there is to choose.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::network::{Device, InputSize, NetworkConfig};
use crate::vision::Augmentation;
use crate::{Error, Result};

/// How an encoder is pretrained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pretraining {
    /// The architecture whose encoder learns; of its head, only which cells it reads counts.
    #[serde(skip)]
    pub network: Option<NetworkConfig>,
    /// Rooms in all.
    pub rooms: usize,
    /// Rooms in memory at once.
    pub rooms_at_once: usize,
    /// Views of each room.
    pub views: usize,
    /// Steps of the optimizer.
    pub steps: u64,
    /// Rooms in a step.
    pub rooms_per_step: usize,
    /// Pairs of views of each of them in a step; those of a pair show a part of the room in common.
    pub pairs_per_step: usize,
    /// Size of the views.
    pub input: InputSize,
    /// Shortest and longest focal length of a view, as a share of its width: drawn anew for each.
    pub focal: [f64; 2],
    /// Width of the heads.
    pub head_width: i64,
    /// Adam's learning rate of the encoder at its highest; half a cosine follows.
    pub learning_rate: f64,
    /// The same of a head when its room is new; half a cosine over the life of the room follows.
    pub head_learning_rate: f64,
    /// What the distance to a point cannot exceed when its room is new, metres.
    pub coarse: f64,
    /// The same when it is old. A head that knows its room no better than this learns nothing more: far from the truth the loss is flat.
    pub fine: f64,
    /// Weight of the matching loss beside that of points, metres.
    pub matching: f64,
    /// Changes of colour, sharpness and noise.
    pub photometric: Augmentation,
    /// Seed of every random choice.
    pub seed: u64,
    /// Where to compute.
    #[serde(skip)]
    pub device: Device,
    /// Weights to start from, of an earlier pretraining: absent, random ones.
    #[serde(skip)]
    pub start: Option<PathBuf>,
    /// The folder to write.
    #[serde(skip)]
    pub out: PathBuf,
}

impl Default for Pretraining {
    fn default() -> Self {
        let photometric = Augmentation {
            brightness: 0.2,
            contrast: 0.3,
            saturation: 0.3,
            hue_degrees: 8.0,
            gamma: 0.3,
            blur_probability: 0.5,
            blur_sigma: 1.0,
            noise: 0.02,
            erasing_probability: 0.0,
            erasing_area: 0.0,
        };
        Self {
            network: None,
            rooms: 96,
            rooms_at_once: 24,
            views: 64,
            steps: 5000,
            rooms_per_step: 8,
            pairs_per_step: 1,
            input: InputSize { height: 144, width: 192 },
            focal: [0.7, 2.5],
            head_width: 192,
            learning_rate: 1e-3,
            head_learning_rate: 1e-3,
            coarse: 2.0,
            fine: 0.5,
            matching: 1.0,
            photometric,
            seed: 1,
            device: Device::Auto,
            start: None,
            out: PathBuf::new(),
        }
    }
}

impl Pretraining {
    /// Checks every number against its range.
    ///
    /// # Errors
    /// [`Error::Config`] with the key, the range and the value.
    pub fn check(&self) -> Result<()> {
        let Self { rooms, rooms_at_once, views, steps, rooms_per_step, pairs_per_step, head_width, .. } = *self;
        let counts = [
            ("rooms", rooms, 1, 100_000),
            ("rooms_at_once", rooms_at_once, 1, rooms.max(1)),
            ("views", views, 2, 100_000),
            ("steps", steps as usize, 1, 100_000_000),
            ("rooms_per_step", rooms_per_step, 1, rooms_at_once),
            ("pairs_per_step", pairs_per_step, 1, 1000),
            ("head_width", head_width.max(0) as usize, 8, 4096),
            ("input.height", self.input.height as usize, 64, 1024),
            ("input.width", self.input.width as usize, 64, 1024),
        ];
        if let Some((key, value, low, high)) =
            counts.iter().find(|(_, value, low, high)| !(low..=high).contains(&value))
        {
            return Err(Error::config(*key, format!("{low} to {high}"), value.to_string()));
        }
        let numbers = [
            ("focal", self.focal[0], 0.3, self.focal[1]),
            ("focal", self.focal[1], 0.3, 10.0),
            ("learning_rate", self.learning_rate, 1e-9, 1.0),
            ("head_learning_rate", self.head_learning_rate, 1e-9, 1.0),
            ("coarse", self.coarse, self.fine, 100.0),
            ("fine", self.fine, 1e-4, 100.0),
            ("matching", self.matching, 0.0, 1e3),
        ];
        if let Some((key, value, low, high)) =
            numbers.iter().find(|(_, value, low, high)| !(low..=high).contains(&value))
        {
            return Err(Error::config(*key, format!("{low} to {high}"), value.to_string()));
        }
        self.photometric.check()
    }

    /// The architecture for views of the size that is asked for.
    ///
    /// # Errors
    /// [`Error::Config`] when there is none, or one that does not say points.
    pub(super) fn architecture(&self) -> Result<NetworkConfig> {
        match &self.network {
            Some(network) if network.scene_coordinates().is_some() => {
                let network = network.clone().with_input(self.input);
                network.check()?;
                Ok(network)
            }
            _ => {
                let expected = "an architecture with the localizer scene_coordinates, such as scene-coordinates-rooms";
                Err(Error::config("network", expected, "another, or none"))
            }
        }
    }
}
