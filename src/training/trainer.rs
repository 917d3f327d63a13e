//! The loop: batches in, weights out, with a checkpoint to go on from.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Instant;

use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

use super::adam::{Adam, AdamConfig, Gradients};
use super::average::{WeightAverage, put, snapshot};
use super::batch::{Batch, Drawn, PREPARED, Source, VideoBatch, prefetch};
use super::config::{Keep, TrainingConfig};
use super::objective::{Objective, Truth, learning};
use super::pairs::{PairPlan, mix};
use super::schedule::{cycle, learning_rate};
use super::state::{EpochRecord, RunState};
use super::validation::ValidationErrors;
use crate::network::{Features, MapFromNormalized, NetworkConfig, PoseNetwork, PoseTensor};
use crate::progress::{Progress, Steps};
use crate::{Error, Result};

/// Bounds of the factor of losses in half precision, whose small gradients would vanish without it.
const LOSS_SCALE: (f64, f64) = (1.0, 4096.0);

/// What a trainer learns from.
pub struct Data<'a> {
    /// The pairs.
    pub plan: &'a PairPlan,
    /// Their tensors.
    pub source: &'a dyn Source,
    /// Whether those are features of the frozen trunk rather than network inputs.
    pub shared: bool,
    /// The errors of a network on the validation frames; `None` without any.
    pub validate: &'a dyn Fn(&PoseNetwork) -> Result<Option<ValidationErrors>>,
    /// The pairs of a video of the place and their tensors, of the same kind, where the settings learn from one
    /// ([`TrainingConfig::unlabelled`]): as many in each step as labelled ones. Its poses may be in any frame.
    pub video: Option<(&'a PairPlan, &'a dyn Source)>,
}

impl Data<'_> {
    /// The pairs of an epoch. The video has a length of its own: it begins anew in the middle of an epoch where it is
    /// shorter, and goes on in the next where it is longer.
    fn epoch(&self, epoch: usize) -> Vec<Drawn> {
        let labelled = self.plan.epoch(epoch);
        let count = labelled.len();
        match self.video {
            None => labelled.into_iter().map(|pair| (pair, None)).collect(),
            Some((plan, _)) => {
                let pairs = plan.stretch(epoch * count, count).into_iter().map(Some);
                labelled.into_iter().zip(pairs).collect()
            }
        }
    }
}

/// Weights that a training keeps: the best of it, or of one of its cycles.
#[derive(Debug)]
pub struct Snapshot {
    /// Of which epoch, from 1.
    pub epoch: usize,
    /// Its score on the validation frames; lower is better. Minus the epoch where they do not decide.
    pub score: f64,
    /// The weights by name, averaged where the training averages them.
    pub weights: BTreeMap<String, Tensor>,
}

/// A network, its optimizers and how far they are.
pub struct Trainer {
    config: TrainingConfig,
    /// Of each scene.
    units: Vec<MapFromNormalized>,
    network: PoseNetwork,
    store: VarStore,
    loss_store: VarStore,
    objective: Objective,
    odometry_adam: Adam,
    pose_adam: Adam,
    average: WeightAverage,
    best: BTreeMap<String, Tensor>,
    /// The best of each finished cycle, as `state.snapshots`.
    snapshots: Vec<BTreeMap<String, Tensor>>,
    state: RunState,
    folder: PathBuf,
    /// When [`RunState::seconds`] was last brought up to date.
    counted: Instant,
    saved: Instant,
}

impl Trainer {
    /// A trainer of `network`, whose weights are in `store`; its checkpoint goes into `folder`.
    ///
    /// # Errors
    /// Those of [`TrainingConfig::check`].
    pub fn new(
        (network, store): (PoseNetwork, VarStore),
        architecture: &NetworkConfig,
        config: &TrainingConfig,
        units: MapFromNormalized,
        seed: u64,
        folder: &Path,
    ) -> Result<Self> {
        config.check()?;
        let loss_store = VarStore::new(store.device());
        let objective = Objective::new(&loss_store.root(), config, architecture);
        let adam = |pose: bool| {
            // Everything behind the shared stages but the odometry stream belongs to the pose step.
            let owned = |name: &str| match name.starts_with("trunk.") {
                true => !config.freeze_trunk && (pose || network.odometry().is_some()),
                false if pose && config.crosses_streams() => true,
                false => name.starts_with("odometry.") != pose,
            };
            let weights = learning(&store).into_iter().filter(|(name, _)| owned(name));
            let losses = learning(&loss_store).into_iter().filter(|(name, _)| Objective::belongs_to_pose(name) == pose);
            let losses = losses.map(|(name, tensor)| (format!("loss.{name}"), tensor));
            Adam::new(weights.chain(losses), AdamConfig { weight_decay: config.weight_decay, ..Default::default() })
        };
        let (odometry_adam, pose_adam) = (adam(false), adam(true));
        let average = WeightAverage::new(&store, config.average_decay);
        let best = snapshot(&store);
        let state = RunState { seed, loss_scale: LOSS_SCALE.1, ..RunState::default() };
        let folder = folder.to_owned();
        let config = config.clone();
        let now = Instant::now();
        Ok(Self {
            config,
            units: vec![units],
            network,
            store,
            loss_store,
            objective,
            odometry_adam,
            pose_adam,
            average,
            best,
            snapshots: Vec::new(),
            state,
            folder,
            counted: now,
            saved: now,
        })
    }

    /// The same for scenes with these units, as many as the network knows.
    pub fn with_scenes(self, units: Vec<MapFromNormalized>) -> Self {
        Self { units, ..self }
    }

    /// Goes on from the checkpoint in the folder.
    ///
    /// # Errors
    /// Those of [`RunState::read`]; [`Error::Config`] for another seed, [`Error::Model`] for another architecture.
    pub fn resume(&mut self) -> Result<()> {
        let (state, tensors, file) = RunState::read(&self.folder)?;
        if state.seed != self.state.seed {
            return Err(Error::config(
                "seed",
                format!("{}, as the run began", state.seed),
                self.state.seed.to_string(),
            ));
        }
        put(&self.store, &group(&tensors, "weights/", &self.store, &file)?);
        put(&self.loss_store, &group(&tensors, "losses/", &self.loss_store, &file)?);
        self.average.resume(group(&tensors, "average/", &self.store, &file)?, state.average_steps);
        self.best = group(&tensors, "best/", &self.store, &file)?;
        let of_cycle = |index: usize| group(&tensors, &format!("snapshots/{index}/"), &self.store, &file);
        self.snapshots = (0..state.snapshots.len()).map(of_cycle).collect::<Result<_>>()?;
        self.odometry_adam.restore("odometry_adam", &tensors, &file)?;
        self.pose_adam.restore("pose_adam", &tensors, &file)?;
        self.state = state;
        self.counted = Instant::now();
        Ok(())
    }

    /// Trains until the epochs are done, or the validation has not improved for `patience` epochs; the best weights (of
    /// the last cycle) are in the store then. Asks `keep_going` before each step.
    ///
    /// # Errors
    /// [`Error::Interrupted`] when `keep_going` said no, with a checkpoint to resume from; [`Error::Compute`] when a loss
    /// is not finite, with the last good checkpoint kept; those of the source and of files.
    pub fn run(&mut self, data: &Data, progress: Progress, keep_going: &dyn Fn() -> bool) -> Result<()> {
        let batches = data.plan.len().div_ceil(self.config.batch_size);
        let steps = progress.steps("training", (batches * self.config.epochs) as u64);
        steps.resume_at((batches * self.state.epoch + self.state.batch) as u64);
        while self.state.epoch < self.config.epochs && !self.is_out_of_patience() {
            self.train_epoch(data, &steps, keep_going)?;
            self.finish_epoch(data, &steps)?;
        }
        self.save()?;
        put(&self.store, &self.best);
        Ok(())
    }

    /// How far it is.
    pub fn state(&self) -> &RunState {
        &self.state
    }

    /// What [`Trainer::run`] kept: the best weights, of each of the cycles where it goes in several, the best first.
    pub fn snapshots(&self) -> Vec<Snapshot> {
        let kept = self.state.snapshots.iter().chain(&self.state.best).zip(self.snapshots.iter().chain([&self.best]));
        let snapshot = |(&(epoch, score), weights)| Snapshot { epoch, score, weights: copies(weights) };
        let mut snapshots: Vec<Snapshot> = kept.map(snapshot).collect();
        snapshots.sort_by(|a, b| a.score.total_cmp(&b.score));
        snapshots
    }

    /// The network and its weights.
    pub fn into_network(self) -> (PoseNetwork, VarStore, RunState) {
        (self.network, self.store, self.state)
    }

    /// Takes a step, then `steps` more, and returns the seconds per pair of these: for a forecast. Nothing is saved.
    ///
    /// # Errors
    /// As [`Trainer::run`].
    pub(super) fn rehearse(&mut self, data: &Data, steps: usize, keep_going: &dyn Fn() -> bool) -> Result<f64> {
        let TrainingConfig { batch_size, accumulate, .. } = self.config;
        // Some more are prepared than are taken, as in the middle of a training.
        let count = (steps + 1) * accumulate + PREPARED + 1;
        let pairs: Vec<Drawn> = (0..).flat_map(|epoch| data.epoch(epoch)).take(count * batch_size).collect();
        let batches = pairs.chunks(batch_size).map(<[Drawn]>::to_vec).collect();
        let all = 0..steps as u64 + 1;
        std::thread::scope(|scope| {
            let prepared = prefetch(scope, data.source, data.video.map(|(_, source)| source), batches)?;
            let mut begun = Instant::now();
            for step in 0..=steps {
                let batches = prepared.iter().take(accumulate).collect::<Result<Vec<_>>>()?;
                if !keep_going() {
                    return Err(Error::Interrupted("; nothing was trained yet".to_owned()));
                }
                self.step(&batches, data, &all)?;
                if step == 0 {
                    begun = Instant::now();
                }
            }
            Ok(begun.elapsed().as_secs_f64() / (steps * accumulate * batch_size) as f64)
        })
    }

    fn train_epoch(&mut self, data: &Data, progress: &Steps, keep_going: &dyn Fn() -> bool) -> Result<()> {
        let TrainingConfig { batch_size, accumulate, epochs, snapshots, .. } = self.config;
        let pairs = data.epoch(self.state.epoch);
        let steps: Vec<&[Drawn]> = pairs.chunks(batch_size * accumulate).collect();
        let cycle = cycle(self.state.epoch, epochs, snapshots);
        let cycle = (steps.len() * cycle.start) as u64..(steps.len() * cycle.end) as u64;
        let left = &steps[self.state.batch.div_ceil(accumulate).min(steps.len())..];
        let batches = left.iter().flat_map(|step| step.chunks(batch_size)).map(<[Drawn]>::to_vec).collect();
        std::thread::scope(|scope| {
            let prepared = prefetch(scope, data.source, data.video.map(|(_, source)| source), batches)?;
            for step in left {
                let batches = prepared.iter().take(step.len().div_ceil(batch_size)).collect::<Result<Vec<_>>>()?;
                if !keep_going() {
                    self.save()?;
                    let text = format!("; epoch {} is resumed with --resume", self.state.epoch + 1);
                    return Err(Error::Interrupted(text));
                }
                self.step(&batches, data, &cycle)?;
                self.state.batch += batches.len();
                progress.advance(batches.len() as u64);
            }
            Ok(())
        })
    }

    /// An odometry step, when one is due, then a pose step, each by all the batches; `cycle` are the steps of the cycle
    /// under way. Nothing is saved between: a run that is stopped in a step does it again.
    fn step(&mut self, batches: &[Batch], data: &Data, cycle: &Range<u64>) -> Result<()> {
        let RunState { seed, epoch, batch: index, step, .. } = self.state;
        tch::manual_seed(mix(seed, epoch as u64, index as u64) as i64);
        let device = self.store.device();
        let all: usize = batches.iter().map(|batch| batch.current.len()).sum();
        for batch in batches {
            self.objective.check(batch, epoch)?;
        }
        let frustum = data.plan.frustum().filter(|_| self.config.metric_weight > 0.0);
        let truth = |batch: &Batch| {
            let truth = Truth::new(batch, &self.units, device);
            match frustum {
                Some(frustum) => truth.with_overlaps(frustum, batch, device),
                None => truth,
            }
        };
        let of_video = |video: &VideoBatch| VideoPart {
            input: video.input.to_device(device),
            motion: PoseTensor::from_poses(&video.motions, &self.units[0].relative(), device),
        };
        let part = |batch: &Batch| Part {
            input: batch.input.to_device(device),
            truth: truth(batch),
            video: batch.video.as_ref().map(of_video),
            share: batch.current.len() as f64 / all as f64,
        };
        let parts: Vec<Part> = batches.iter().map(part).collect();
        let (done, total) = (step - cycle.start, cycle.end - cycle.start);
        // Adam warms up once: behind that its moments are known.
        let warmup = if cycle.start == 0 { self.config.warmup_steps } else { 0 };
        let rate = self.config.learning_rate * learning_rate(done, total, warmup);
        if self.network.odometry().is_some() && step.is_multiple_of(self.config.odometry_every) {
            let loss = self.half_step(&parts, data.shared, rate, Stream::Odometry)?;
            self.state.sums.odometry = (self.state.sums.odometry.0 + loss, self.state.sums.odometry.1 + 1);
        }
        let loss = self.half_step(&parts, data.shared, rate, Stream::Pose)?;
        self.state.sums.pose = (self.state.sums.pose.0 + loss, self.state.sums.pose.1 + 1);
        self.state.step += 1;
        if self.config.average_decay > 0.0 {
            self.average.update(&self.store);
        }
        Ok(())
    }

    /// A step of one stream by the mean loss over all pairs; returns that loss.
    fn half_step(&mut self, parts: &[Part], shared: bool, rate: f64, stream: Stream) -> Result<f64> {
        let mixed = self.config.mixed_precision && self.store.device() != Device::Cpu;
        let scale = if mixed { self.state.loss_scale } else { 1.0 };
        let (mut mean, mut sum) = (0.0, None::<Gradients>);
        for part in parts {
            let loss = tch::autocast(mixed, || self.loss(part, shared, stream));
            let value = loss.double_value(&[]);
            if !value.is_finite() {
                return Err(diverged(&self.state, &format!("the {} loss is {value}", stream.name()), &self.folder));
            }
            mean += part.share * value;
            let gradients = self.adam(stream).gradients(&(loss.to_kind(Kind::Float) * (part.share * scale)))?;
            match &mut sum {
                Some(sum) => sum.add(gradients),
                None => sum = Some(gradients),
            }
        }
        let Some(mut gradients) = sum else { return Ok(0.0) };
        let norm = gradients.clip(1.0 / scale, self.config.gradient_clip);
        match norm.is_finite() {
            true => self.adam(stream).step(&gradients, rate),
            // Half precision overflowed: this step is left out and the next ones are scaled less.
            false if mixed && scale > LOSS_SCALE.0 => self.state.loss_scale = scale / 2.0,
            false => {
                return Err(diverged(&self.state, &format!("the {} gradient is {norm}", stream.name()), &self.folder));
            }
        }
        Ok(mean)
    }

    /// The mean loss of a stream over the pairs of a batch. Those of a video pass the shared stages in one batch with the
    /// labelled ones, whose statistics a batch normalization would not tell apart later either.
    fn loss(&self, part: &Part, shared: bool, stream: Stream) -> Tensor {
        let video = part.video.as_ref().filter(|_| matches!(stream, Stream::Pose));
        let input =
            video.map_or_else(|| part.input.shallow_clone(), |video| Tensor::cat(&[&part.input, &video.input], 0));
        let features = match shared {
            true => Features::of_last(input),
            false if self.config.freeze_trunk => tch::no_grad(|| self.network.shared(&input, false)),
            false => self.network.shared(&input, true),
        };
        let Self { network, objective, state, .. } = self;
        match (stream, video) {
            (Stream::Odometry, _) => objective.odometry(network, &features, &part.truth),
            (Stream::Pose, None) => objective.pose(network, &features, &part.truth, state.epoch),
            (Stream::Pose, Some(VideoPart { input, motion })) => {
                let (labelled, unlabelled) = (part.input.size()[0], input.size()[0]);
                objective.pose(network, &features.narrow(0, labelled), &part.truth, state.epoch)
                    + objective.unlabelled(network, &features.narrow(labelled, unlabelled), motion)
            }
        }
    }

    fn adam(&mut self, stream: Stream) -> &mut Adam {
        match stream {
            Stream::Odometry => &mut self.odometry_adam,
            Stream::Pose => &mut self.pose_adam,
        }
    }

    fn finish_epoch(&mut self, data: &Data, progress: &Steps) -> Result<()> {
        let averaged = self.config.average_decay > 0.0;
        let validation = match averaged {
            true => self.average.with(&self.store, || (data.validate)(&self.network))?,
            false => (data.validate)(&self.network)?,
        };
        let sums = std::mem::take(&mut self.state.sums);
        let mean = |(sum, count): (f64, u64)| sum / count.max(1) as f64;
        let odometry_loss = (sums.odometry.1 > 0).then(|| mean(sums.odometry));
        self.state.epoch += 1;
        self.state.batch = 0;
        let epoch = self.state.epoch;
        if epoch - 1 > 0 && cycle(epoch - 1, self.config.epochs, self.config.snapshots).start == epoch - 1 {
            self.state.snapshots.extend(self.state.best.take());
            self.snapshots.push(std::mem::take(&mut self.best));
        }
        // Where no validation decides, the last epoch is the best one.
        let judged = validation.filter(|_| self.config.keep == Keep::Best);
        let score = judged.map_or(-(epoch as f64), |errors| errors.score(&self.units[0]));
        if self.state.best.is_none_or(|(_, best)| score < best) {
            self.state.best = Some((epoch, score));
            self.best = if averaged { copies(self.average.averages()) } else { snapshot(&self.store) };
        }
        let record = EpochRecord { epoch, pose_loss: mean(sums.pose), odometry_loss, validation };
        progress.message(&describe(&record));
        self.state.history.push(record);
        if self.saved.elapsed().as_secs_f64() >= self.config.checkpoint_interval {
            self.save()?;
        }
        Ok(())
    }

    fn is_out_of_patience(&self) -> bool {
        let best = self.state.best.map_or(self.state.epoch, |(epoch, _)| epoch);
        self.config.patience > 0 && self.state.epoch - best >= self.config.patience
    }

    fn save(&mut self) -> Result<()> {
        let mut tensors = BTreeMap::new();
        let mut add = |prefix: &str, group: BTreeMap<String, Tensor>| {
            tensors.extend(group.into_iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor)));
        };
        add("weights/", snapshot(&self.store));
        add("losses/", snapshot(&self.loss_store));
        add("average/", copies(self.average.averages()));
        add("best/", copies(&self.best));
        for (index, weights) in self.snapshots.iter().enumerate() {
            add(&format!("snapshots/{index}/"), copies(weights));
        }
        add("", self.odometry_adam.state("odometry_adam"));
        add("", self.pose_adam.state("pose_adam"));
        self.state.average_steps = self.average.steps();
        self.state.seconds += self.counted.elapsed().as_secs_f64();
        self.counted = Instant::now();
        self.state.write(&self.folder, &tensors)?;
        self.saved = Instant::now();
        Ok(())
    }
}

/// A batch on the device, and the share of its pairs in those of the step.
struct Part {
    input: Tensor,
    truth: Truth,
    video: Option<VideoPart>,
    share: f64,
}

/// Pairs of a video on the device, and how an odometry says that they moved.
struct VideoPart {
    input: Tensor,
    motion: PoseTensor,
}

#[derive(Clone, Copy)]
enum Stream {
    Odometry,
    Pose,
}

impl Stream {
    fn name(self) -> &'static str {
        match self {
            Stream::Odometry => "odometry",
            Stream::Pose => "pose",
        }
    }
}

fn copies(tensors: &BTreeMap<String, Tensor>) -> BTreeMap<String, Tensor> {
    tch::no_grad(|| tensors.iter().map(|(name, tensor)| (name.clone(), tensor.copy())).collect())
}

/// The tensors of a checkpoint under `prefix` that belong to the variables of a store, on its device.
fn group(
    tensors: &HashMap<String, Tensor>,
    prefix: &str,
    store: &VarStore,
    file: &Path,
) -> Result<BTreeMap<String, Tensor>> {
    let find = |(name, variable): (String, Tensor)| match tensors.get(&format!("{prefix}{name}")) {
        Some(tensor) if tensor.size() == variable.size() => Ok((name, tensor.to_device(store.device()))),
        found => {
            let found = found.map_or("nothing".to_owned(), |tensor| format!("{:?}", tensor.size()));
            let expected = format!("{prefix}{name} of shape {:?}", variable.size());
            Err(Error::model(file, expected, format!("{found}; resume with the architecture the run began with")))
        }
    };
    store.variables().into_iter().map(find).collect()
}

fn diverged(state: &RunState, what: &str, folder: &Path) -> Error {
    let (epoch, batch) = (state.epoch + 1, state.batch + 1);
    let reason = format!(
        "{what} in epoch {epoch}, batch {batch}; the last good checkpoint stays in {}; lower learning_rate, or look for \
         wrong poses in the dataset",
        folder.display()
    );
    Error::compute("training", reason)
}

/// The epoch in a few words.
pub(super) fn describe(record: &EpochRecord) -> String {
    let validation = record.validation.map_or(String::new(), |errors| {
        let scenes =
            errors.scenes.map_or(String::new(), |scenes| format!(", scenes {:.1} % right", 100.0 * scenes.recognized));
        let (metres, degrees) = (errors.median_translation, errors.median_rotation.to_degrees());
        format!(", validation {metres:.3} m {degrees:.2} deg{scenes}")
    });
    format!("epoch {}: loss {:.3}{validation}", record.epoch, record.pose_loss)
}
