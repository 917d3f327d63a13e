//! The descent: steps of cells from a shuffled buffer, with a clip that goes from coarse to fine.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use tch::nn::VarStore;
use tch::{Kind, Tensor};

use super::buffer::{Cells, Material};
use super::settings::SceneCoordinates;
use crate::loss::{self, point_loss, sight_loss, soft_clip};
use crate::network::scene_coordinates::{SceneCoordinateHead, Supervision, fast_products};
use crate::progress::Progress;
use crate::sensor::CameraModel;
use crate::training::adam::{Adam, AdamConfig};
use crate::training::config::TrainingConfig;
use crate::training::pairs::mix;
use crate::training::schedule::learning_rate;
use crate::{Error, Result};

/// Cells per forward pass when nothing is learned.
const CHUNK: usize = 8192;

/// What came out of an epoch.
#[derive(Clone, Copy, Debug)]
pub(super) struct EpochRecord {
    /// Mean of the loss, metres.
    pub(super) loss: f64,
    /// The clip at its end, metres.
    pub(super) clip: f64,
    /// Median distance of the points to the true ones on the validation frames, metres; `None` without any.
    pub(super) validation: Option<f64>,
}

/// What cells are compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// Points, measured or found; where there is none, what the view shows.
    Points,
    /// What the view shows.
    Sight,
}

/// What is learned, where it is seen, and how.
pub(super) struct Descent<'a> {
    pub(super) head: &'a SceneCoordinateHead,
    pub(super) store: &'a VarStore,
    pub(super) camera: &'a CameraModel,
    /// Metres per unit of the model.
    pub(super) scale: f64,
    pub(super) config: &'a TrainingConfig,
    pub(super) settings: SceneCoordinates,
    pub(super) seed: u64,
    /// What it is called while it runs.
    pub(super) title: String,
}

impl Descent<'_> {
    /// Trains the layers of the head from the cells `order`; the encoder stays. The same seed and buffer take the same steps.
    ///
    /// # Errors
    /// [`Error::Interrupted`] when `keep_going` says no; [`Error::Compute`] when the loss is not finite.
    pub(super) fn run(
        &self,
        (material, mut order): (&Material, Vec<i64>),
        validation: Option<&Material>,
        progress: Progress,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<Vec<EpochRecord>> {
        let own = self.store.variables().into_iter().filter(|(name, _)| name.starts_with("coordinates."));
        let mut learned: Vec<(String, Tensor)> = own.filter(|(_, variable)| variable.requires_grad()).collect();
        learned.sort_by(|one, other| one.0.cmp(&other.0));
        let mut adam =
            Adam::new(learned, AdamConfig { weight_decay: self.config.weight_decay, ..AdamConfig::default() });
        let (cells, epochs) = (self.settings.cells.min(order.len()), self.config.epochs);
        let per_epoch = order.len() / cells.max(1);
        let steps = (epochs * per_epoch) as u64;
        let bar = progress.steps(&self.title, steps);
        let mut history = Vec::new();
        for epoch in 0..epochs {
            order.shuffle(&mut ChaCha8Rng::seed_from_u64(mix(self.seed, epoch as u64, 0)));
            let mut total = 0.0;
            for (index, numbers) in order.chunks_exact(cells).enumerate() {
                if !keep_going() {
                    return Err(Error::Interrupted("; a training of points starts anew, it takes minutes".to_owned()));
                }
                let step = (epoch * per_epoch + index) as u64;
                let loss = self.loss(&material.cells(numbers, self.store.device()), step as f64 / steps as f64);
                let mut gradients = adam.gradients(&loss)?;
                let length = gradients.clip(1.0, self.config.gradient_clip);
                total += loss.double_value(&[]);
                if !(length.is_finite() && total.is_finite()) {
                    let reason = format!("the loss is not finite in epoch {}; lower learning_rate", epoch + 1);
                    return Err(Error::compute("training", reason));
                }
                let rate = learning_rate(step, steps, self.config.warmup_steps);
                adam.step(&gradients, self.config.learning_rate * rate);
                bar.advance(1);
            }
            let clip = self.clip(self.part((epoch + 1) as f64 / epochs as f64));
            let distances = validation.map_or(Ok(Vec::new()), |validation| self.distances(validation))?;
            let validation = median(distances);
            history.push(EpochRecord { loss: total / per_epoch as f64, clip, validation });
        }
        Ok(history)
    }

    /// The part of the training that is on, and the share of it that is done.
    fn part(&self, done: f64) -> (Part, f64) {
        match self.settings.supervision {
            Supervision::Depth => (Part::Points, done),
            Supervision::Reprojection => {
                let start = self.settings.start;
                if done < start { (Part::Points, done / start) } else { (Part::Sight, (done - start) / (1.0 - start)) }
            }
        }
    }

    /// The clip of a part of the training, metres.
    fn clip(&self, (part, done): (Part, f64)) -> f64 {
        let SceneCoordinates { coarse, fine, metres_per_pixel, .. } = self.settings;
        match part {
            Part::Points => soft_clip(done, coarse, fine),
            Part::Sight => metres_per_pixel * self.clip_pixels(done),
        }
    }

    fn clip_pixels(&self, done: f64) -> f64 {
        soft_clip(done, self.settings.coarse_pixels, self.settings.fine_pixels)
    }

    /// The mean over the cells of what they are off by, metres: by their points where these are known and believed, else by
    /// reprojection.
    fn loss(&self, cells: &Cells, done: f64) -> Tensor {
        let estimate_n3 = self.head.points_in(&cells.features_nc, self.products());
        let (part, done) = self.part(done);
        let by_sight = self.by_sight(&estimate_n3, cells, done);
        if part == Part::Sight {
            return by_sight.mean(Kind::Float);
        }
        let unknown_n1 = cells.points_n3.narrow(1, 0, 1).isnan();
        let truth_n3 = cells.points_n3.nan_to_num(0.0, None::<f64>, None::<f64>);
        let by_points = point_loss(&estimate_n3, &truth_n3, self.scale, self.clip((part, done)));
        by_sight.where_self(&unknown_n1.squeeze_dim(1), &by_points).mean(Kind::Float)
    }

    /// The reprojection errors of the cells as metres, `n`, with the clip of a share of the training.
    fn by_sight(&self, estimate_n3: &Tensor, cells: &Cells, done: f64) -> Tensor {
        let CameraModel { fx, fy, cx, cy, .. } = *self.camera;
        let sight = loss::Sight {
            camera_from_map_n34: &cells.camera_from_map_n34,
            pixels_n2: &cells.pixels_n2,
            focal: [fx, fy],
            centre: [cx, cy],
        };
        sight_loss(estimate_n3, &sight, self.scale, self.clip_pixels(done), self.settings.metres_per_pixel)
    }

    /// The precision of products that are learned from.
    fn products(&self) -> Kind {
        if self.config.mixed_precision { fast_products(self.store.device()) } else { Kind::Float }
    }

    /// The distances of points to the true ones, metres, of those cells where these are known.
    ///
    /// # Errors
    /// [`Error::Compute`] when libtorch fails.
    pub(super) fn distances(&self, material: &Material) -> Result<Vec<f64>> {
        let mut distances = Vec::new();
        for start in (0..material.len()).step_by(CHUNK) {
            let cells = material.stretch(start..(start + CHUNK).min(material.len()), self.store.device());
            let difference = tch::no_grad(|| self.head.points(&cells.features_nc) - &cells.points_n3);
            let distance = difference.square().sum_dim_intlist([1i64].as_slice(), false, Kind::Float).sqrt();
            let of_cells = Vec::<f32>::try_from(distance).map_err(|error| Error::compute("validation", error))?;
            let known = of_cells.into_iter().filter(|distance| !distance.is_nan());
            distances.extend(known.map(|distance| f64::from(distance) * self.scale));
        }
        Ok(distances)
    }
}

/// The middle of some numbers; `None` of none.
pub(super) fn median(mut values: Vec<f64>) -> Option<f64> {
    let middle = values.len() / 2;
    (!values.is_empty()).then(|| *values.select_nth_unstable_by(middle, f64::total_cmp).1)
}
