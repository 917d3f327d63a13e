//! The pretraining itself: rooms that come and go, steps of some views of some of them, one loss for the encoder and all heads.

use std::fmt::Write as _;
use std::fs;
use std::time::Instant;

use rand::seq::{IndexedRandom, index};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::nn::{Init, VarStore};
use tch::{Kind, Tensor};

use super::card::{EncoderCard, write};
use super::eye::Eye;
use super::heads::RoomHeads;
use super::population::Population;
use super::room::{Room, augmented};
use super::settings::Pretraining;
use crate::loss::{matching_loss, point_loss, soft_clip};
use crate::progress::{Progress, Steps};
use crate::training::adam::{Adam, AdamConfig};
use crate::training::pairs::mix;
use crate::training::run::LOG_FILE;
use crate::training::schedule::learning_rate;
use crate::{Error, Result};

/// Steps until the encoder's full learning rate.
const WARMUP: u64 = 100;
/// Longest gradient.
const GRADIENT_CLIP: f64 = 5.0;
/// Decoupled weight decay.
const WEIGHT_DECAY: f64 = 1e-4;
/// The encoder is written so many times, the last time at the end.
const SNAPSHOTS: u64 = 20;
/// Rooms older than this share of their life say how well points are known.
const OLD: f64 = 0.7;
/// Numbers of the descriptor that is matched, a linear layer on the features of a cell.
const DESCRIPTOR: i64 = 64;
/// The stream of seeds of the rooms to learn in; those to judge in are another.
const LEARNED_IN: u64 = 17;

/// What came out of the steps between two reports.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    steps: usize,
    loss: f64,
    matching: f64,
    old: usize,
    /// Sum over old rooms of the median distance of a point, metres.
    distance: f64,
}

/// Rooms, their heads, the encoder and the optimizer of all.
struct Learner<'a> {
    settings: &'a Pretraining,
    eye: Eye,
    heads: RoomHeads,
    /// From features to the descriptors that are matched, `cd`.
    projection: Tensor,
    population: Population,
    /// Which room is in each place, and its views.
    rooms: Vec<(usize, Room)>,
    adam: Adam,
}

/// Pretrains an encoder and writes it into the folder, many times: what is there is always whole. Asks `keep_going` before each
/// step. The same settings on one thread of the CPU give the same bytes.
///
/// # Errors
/// [`Error::Config`] for settings out of range; [`Error::Model`] for weights to start from that are another encoder's;
/// [`Error::Interrupted`] after `keep_going` said no; [`Error::Compute`] when the
/// training diverges; [`Error::Io`] when the folder cannot be written.
pub fn pretrain(settings: &Pretraining, progress: Progress, keep_going: &dyn Fn() -> bool) -> Result<EncoderCard> {
    settings.check()?;
    let eye = Eye::new(settings)?;
    fs::create_dir_all(&settings.out).map_err(Error::io("create", &settings.out))?;
    let population = Population::new(settings.rooms, settings.rooms_at_once, settings.steps);
    let heads = RoomHeads::new(settings.rooms_at_once, eye.channels()?, settings.head_width, eye.store.device());
    let matching = VarStore::new(eye.store.device());
    let deviation = 1.0 / (eye.channels()? as f64).sqrt();
    let projection =
        matching.root().var("matching", &[eye.channels()?, DESCRIPTOR], Init::Randn { mean: 0.0, stdev: deviation });
    let encoder = eye.store.variables().into_iter().filter(|(name, _)| name.starts_with("trunk."));
    let mut learned: Vec<(String, Tensor)> = encoder
        .chain(heads.variables())
        .chain(matching.variables())
        .filter(|(_, variable)| variable.requires_grad())
        .collect();
    learned.sort_by(|one, other| one.0.cmp(&other.0));
    let adam = Adam::new(learned, AdamConfig { weight_decay: WEIGHT_DECAY, ..AdamConfig::default() });
    let mut learner = Learner { settings, eye, heads, projection, population, rooms: Vec::new(), adam };
    learner.run(progress, keep_going)
}

impl Learner<'_> {
    fn run(&mut self, progress: Progress, keep_going: &dyn Fn() -> bool) -> Result<EncoderCard> {
        let (steps, started) = (self.settings.steps, Instant::now());
        let bar = progress.steps("pretraining", steps);
        let (mut log, mut tally) = ("step,loss_m,matching,old_rooms_median_m\n".to_owned(), Tally::default());
        let every = steps.div_ceil(SNAPSHOTS);
        for step in 0..steps {
            if !keep_going() {
                let reason = format!("; {} has the encoder of an earlier step, if any", self.settings.out.display());
                return Err(Error::Interrupted(reason));
            }
            self.move_rooms(step)?;
            self.step(step, &mut tally)?;
            bar.advance(1);
            let done = step + 1;
            if done % every == 0 || done == steps {
                report(&tally, done, &mut log, &bar);
                tally = Tally::default();
                fs::write(self.settings.out.join(LOG_FILE), &log).map_err(Error::io("write", &self.settings.out))?;
                let seconds = started.elapsed().as_secs_f64();
                write(&self.eye.store, self.settings, &self.eye.architecture, (done, seconds))?;
            }
        }
        write(&self.eye.store, self.settings, &self.eye.architecture, (steps, started.elapsed().as_secs_f64()))
    }

    /// Lets in the rooms that come at this step.
    fn move_rooms(&mut self, step: u64) -> Result<()> {
        for place in 0..self.settings.rooms_at_once {
            let room = self.population.at(step, place).room;
            if self.rooms.get(place).is_some_and(|(there, _)| *there == room) {
                continue;
            }
            let seed = mix(self.settings.seed, LEARNED_IN, room as u64);
            let views = Room::render(seed, self.eye.cells, self.settings, self.eye.store.device())?;
            if place < self.rooms.len() {
                // The moments of the optimizer stay: they are about right for the next head too.
                self.heads.begin_anew(place);
                self.rooms[place] = (room, views);
            } else {
                self.rooms.push((room, views));
            }
        }
        Ok(())
    }

    /// Draws pairs of views of some of the rooms: places, and views in their order, place by place and pair by pair.
    fn draw(&self, step: u64) -> (Vec<usize>, Vec<(usize, usize)>) {
        let settings = self.settings;
        let mut random = ChaCha8Rng::seed_from_u64(mix(settings.seed, 1, step));
        let count = settings.rooms_per_step.min(self.rooms.len());
        let places = index::sample(&mut random, self.rooms.len(), count).into_vec();
        let mut views = Vec::new();
        for &place in &places {
            let room = &self.rooms[place].1;
            for _ in 0..settings.pairs_per_step {
                let view = random.random_range(0..room.len());
                let partner = *room.partners(view).choose(&mut random).unwrap_or(&view);
                views.extend([(place, view), (place, partner)]);
            }
        }
        (places, views)
    }

    fn step(&mut self, step: u64, tally: &mut Tally) -> Result<()> {
        let settings = self.settings;
        let (places, views) = self.draw(step);

        // All views in one batch: features of rooms, cells of all their views, channels.
        let colours = |index: usize| mix(settings.seed, step, 1000 + index as u64);
        let shown: Vec<_> = (views.iter().enumerate())
            .map(|(index, &(place, view))| (self.rooms[place].1.image(view), colours(index)))
            .collect();
        let features_bnc = self.eye.features(&augmented(&shown, &settings.photometric), true)?;
        let (rooms, channels) = (places.len() as i64, features_bnc.size()[2]);
        let features_rnc = features_bnc.reshape([rooms, -1, channels]);
        let truth: Vec<&Tensor> = views.iter().map(|&(place, view)| self.rooms[place].1.points(view)).collect();
        let truth_rn3 = Tensor::cat(&truth, 0).view([rooms, -1, 3]);

        // What the heads say, and what is alike.
        let known = self.point_losses(step, &places, (&features_rnc, &truth_rn3), tally).mean(Kind::Float);
        let matching = self.matching(&places, &features_rnc, &truth_rn3);
        let mut gradients = self.adam.gradients(&(&known + &matching * settings.matching))?;
        let length = gradients.clip(1.0, GRADIENT_CLIP);
        tally.steps += 1;
        tally.loss += known.double_value(&[]);
        tally.matching += matching.double_value(&[]);
        if !(length.is_finite() && tally.loss.is_finite() && tally.matching.is_finite()) {
            let reason = format!("the loss is not finite in step {step}; lower the learning rates");
            return Err(Error::compute("pretraining", reason));
        }
        let rate = settings.learning_rate * learning_rate(step, settings.steps, WARMUP);
        let of_head = |place: usize| {
            let age = self.population.at(step, place).age;
            settings.head_learning_rate * 0.5 * (1.0 + (std::f64::consts::PI * age).cos())
        };
        self.adam.step_at(&gradients, |name| head_of(name).map_or(rate, of_head));
        Ok(())
    }

    /// The loss of the points of each room, metres, with the clip of its age.
    fn point_losses(
        &self,
        step: u64,
        places: &[usize],
        (features_rnc, truth_rn3): (&Tensor, &Tensor),
        tally: &mut Tally,
    ) -> Tensor {
        let points_rn3 = self.heads.points(places, features_rnc);
        let mut losses = Vec::new();
        for (row, &place) in (0..).zip(places) {
            let (points, truth) = (points_rn3.get(row), truth_rn3.get(row));
            let (age, scale) = (self.population.at(step, place).age, self.rooms[place].1.scale);
            let clip = soft_clip(age, self.settings.coarse, self.settings.fine);
            losses.push(point_loss(&points, &truth, scale, clip).mean(Kind::Float));
            if age > OLD {
                tally.old += 1;
                tally.distance += scale * tch::no_grad(|| median_distance(&points, &truth));
            }
        }
        Tensor::stack(&losses, 0)
    }

    /// The loss of descriptors of the pairs.
    fn matching(&self, places: &[usize], features_rnc: &Tensor, truth_rn3: &Tensor) -> Tensor {
        let scales: Vec<f32> = places.iter().map(|&place| self.rooms[place].1.scale as f32).collect();
        let metres_rn3 = truth_rn3 * Tensor::from_slice(&scales).view([-1, 1, 1]).to_device(truth_rn3.device());
        let pairs = |cells: &Tensor| cells.reshape([-1, 2, self.eye.cells.count(), cells.size()[2]]);
        let (descriptors, points) = (pairs(&features_rnc.matmul(&self.projection)), pairs(&metres_rn3));
        let of = |view: i64| (descriptors.select(1, view), points.select(1, view));
        let (one, other) = (of(0), of(1));
        matching_loss((&one.0, &one.1), (&other.0, &other.1))
    }
}

/// The head that a variable belongs to; `None`: the encoder's.
fn head_of(name: &str) -> Option<usize> {
    name.strip_prefix("heads.")?.split('.').next()?.parse().ok()
}

/// The median distance between points `n3`.
pub(super) fn median_distance(one_n3: &Tensor, other_n3: &Tensor) -> f64 {
    (one_n3 - other_n3)
        .square()
        .sum_dim_intlist([1i64].as_slice(), false, Kind::Float)
        .sqrt()
        .median()
        .double_value(&[])
}

fn report(tally: &Tally, done: u64, log: &mut String, bar: &Steps) {
    let steps = tally.steps.max(1) as f64;
    let (loss, matching) = (tally.loss / steps, tally.matching / steps);
    let distance = (tally.old > 0).then(|| tally.distance / tally.old as f64);
    let old = distance.map_or(String::new(), |metres| format!("{metres:.6}"));
    let _ = writeln!(log, "{done},{loss:.6},{matching:.6},{old}");
    let old = distance.map_or(String::new(), |metres| format!(", points of old rooms {metres:.3} m off"));
    bar.message(&format!("loss {loss:.3} m, matching {matching:.3}{old}"));
}
