//! `vloc eval`: localizes the test frames of a dataset and compares with ground truth and image retrieval.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;

use super::baselines::{RetrievalBaselines, baselines};
use super::fused::{Fused, estimator_config, fuse};
use super::report::Viewer;
use crate::alignment::AlignmentReport;
use crate::config::load_yaml;
use crate::dataset::{self, Dataset, Split, SplitRule};
use crate::evaluation::report::evaluated;
use crate::evaluation::{Evaluation, FrameResult, Latency, Metrics, Provenance, table};
use crate::network::device::{Device, describe, set_threads};
use crate::network::{PixelFrame, PoseRegressor, Regression};
use crate::pnp::Evidence;
use crate::progress::Progress;
use crate::sensor::RelativePose;
use crate::vision::Preprocessor;
use crate::{Error, Result, memory};

/// Arguments of `vloc eval`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:
  vloc eval --dataset ../shared/data/redkitchen --split config/splits/interpolation.yaml \\
    --model out/redkitchen --out out/redkitchen-eval --report out/redkitchen-report
Then open out/redkitchen-report/report.html. `vloc compare` puts several --out folders in one such report.")]
pub struct EvalArgs {
    /// The dataset: a 7-Scenes scene, a TUM RGB-D sequence or a rosbag2.
    #[arg(long, value_name = "PATH")]
    pub dataset: PathBuf,
    /// For a rosbag2: which topics and frames (YAML; config/bag_dataset.yaml explains them).
    #[arg(long, value_name = "FILE")]
    pub bag_options: Option<PathBuf>,
    /// The rule that divides it (YAML; config/splits has some). Without it, the sequences that the dataset declares.
    #[arg(long, value_name = "FILE")]
    pub split: Option<PathBuf>,
    /// Model folder.
    #[arg(long, value_name = "FOLDER")]
    pub model: PathBuf,
    /// Of a model of several scenes: the name of the one that the dataset shows. An image that the model takes for another
    /// scene's counts as unanswered.
    #[arg(long, value_name = "NAME", default_value = "")]
    pub scene: String,
    /// Where to write metrics.json, frames.csv, errors.csv, truth.tum, estimate.tum, trajectory.svg and errors.svg.
    #[arg(long, value_name = "FOLDER")]
    pub out: PathBuf,
    /// Where to write report.html as well, one file to open in a browser: tables, errors over place and time, honesty of
    /// the covariance, timings, the worst frames beside the nearest training image, what the network looks at and what
    /// it finds alike, and of a model that measures poses the points that they stand on; beside it the pictures as SVG and the numbers as CSV. Takes another pass over some of the frames.
    #[arg(long, value_name = "FOLDER")]
    pub report: Option<PathBuf>,
    /// Where the network runs: auto, cpu, cuda:N.
    #[arg(long, default_value_t = Device::Auto)]
    pub device: Device,
    /// Threads of one forward pass on the CPU.
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// For a model that sees parts of its input (PoseNet): how many parts of a frame to average; 128 is its "dense"
    /// evaluation. Its covariances stay calibrated for the number it was trained with.
    #[arg(long, value_name = "N")]
    pub crops: Option<usize>,
    /// For a model with a pose auto-encoder: how many training poses refine a position; 0 for none. Without it as many as its
    /// model.yaml says, for which its covariances are calibrated.
    #[arg(long, value_name = "N")]
    pub neighbours: Option<usize>,
    /// For a model with reference frames (vloc align): whether poses are aligned to them. Without it as its model.yaml says;
    /// covariances are the same either way.
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set)]
    pub align: Option<bool>,
    /// Which image retrieval to compare with; each includes those before it.
    #[arg(long, value_enum, default_value_t = RetrievalBaselines::DenseVlad)]
    pub retrieval: RetrievalBaselines,
    /// Also lets the estimator fuse the model's own absolute and relative poses, frame by frame and causal, from nothing
    /// wherever the test frames are not consecutive; prints that table too and writes it into OUT/fused.
    #[arg(long)]
    pub fused: bool,
    /// Parameters of the estimator for --fused, as `vloc node` takes them (config/vloc.yaml).
    #[arg(long, value_name = "FILE", requires = "fused")]
    pub params_file: Option<PathBuf>,
    /// Who says what is true, for the report.
    #[arg(long, value_name = "TEXT", default_value = "the poses of the dataset")]
    pub ground_truth: String,
}

/// Runs `vloc eval`.
///
/// # Errors
/// What is wrong with the dataset, the split, the model or the output folder.
pub fn run(args: &EvalArgs) -> Result<()> {
    let evaluated = evaluate(args)?;
    println!("{}", table(&evaluated.metrics));
    if let Some(fused) = &evaluated.fused {
        println!("{}", table(&fused.metrics));
        if let Some(seconds) = fused.correlation_time {
            println!("with estimator.correlation_time {seconds:.2} s the 90 % ellipsoid would have held 90 % here");
        }
    }
    if evaluated.metrics.points.and_then(|points| points.focal).is_some_and(|focal| focal.contradicts()) {
        println!(
            "warning: the camera of this dataset is not the one that its images were taken with, or not in this resolution"
        );
    }
    println!("written to {}: metrics.json, *.csv, *.tum, trajectory.svg, errors.svg", args.out.display());
    if let Some(folder) = &args.report {
        println!("report: {}", folder.join("report.html").display());
    }
    Ok(())
}

/// The numbers of an evaluation.
pub struct Evaluated {
    /// Of the model's answers.
    pub metrics: Metrics,
    /// Of what the estimator made of them, where that was asked for.
    pub fused: Option<Fused>,
}

/// Localizes the test frames, in their order, and writes the report.
///
/// # Errors
/// As [`run`]. A frame that cannot be read is an error; one that the network gives no answer for is counted.
pub fn evaluate(args: &EvalArgs) -> Result<Evaluated> {
    let mut estimator = estimator_config(args)?;
    let dataset = dataset::open(&args.dataset, args.bag_options.as_deref())?;
    dataset.notes().iter().for_each(|note| tracing::warn!("{}: {note}", dataset.name()));
    let (rule, split) = read_split(args.split.as_deref(), dataset.as_ref())?;
    set_threads(args.threads);
    let mut regressor = PoseRegressor::load_in(&args.model, &args.scene, args.device)?;
    if let Some(count) = args.crops {
        regressor = regressor.with_crops(count)?;
    }
    if let Some(count) = args.neighbours {
        regressor = regressor.with_neighbours(count)?;
    }
    if let Some(align) = args.align {
        regressor = regressor.with_alignment(align)?;
    }
    let measured = regressor.card().pose_calibration().correlation_time;
    estimator.correlation_time = estimator.correlation_time_for(measured);
    let preprocessor = Preprocessor::new(dataset.camera(), &regressor.card().camera)?;
    let localized = localize(dataset.as_ref(), &split, &preprocessor, &mut regressor)?;
    let peak_memory = memory::peak();
    let poses = |indices: &[usize]| indices.iter().map(|&index| dataset.frames()[index].map_from_camera).collect();
    let device = describe(regressor.device());
    let latency = |step: &str, durations: &[Duration]| Latency::new(step, &device, args.threads, 1, durations);
    let evaluation = Evaluation {
        name: name_of(&regressor),
        provenance: Provenance {
            dataset: dataset.name().to_owned(),
            ground_truth: args.ground_truth.clone(),
            split: rule,
            seed: Some(regressor.card().training.seed),
            commit: option_env!("VLOC_COMMIT").map(str::to_owned),
            command: std::env::args().collect::<Vec<_>>().join(" "),
            model_sha256: Some(regressor.card().weights_sha256()),
        },
        baselines: baselines(dataset.as_ref(), &split, args.retrieval, &|image| {
            regressor.embedding(&preprocessor.apply(image)?)
        })?,
        hindsight: None,
        training_path: poses(&split.train),
        evidence: localized.evidence(&regressor),
        alignments: localized.alignments(),
        latencies: localized.timings().into_iter().map(|(step, times)| latency(step, times)).collect::<Result<_>>()?,
        peak_memory,
    };
    let metrics = evaluation.write_all(&args.out, &localized.results)?;
    let fused = match args.fused {
        true => {
            let (frames, alone) = ((dataset.as_ref(), &*split.test), (&evaluation, &*localized.results));
            Some(fuse(frames, alone, &localized.motions, &estimator, &args.out.join("fused"))?)
        }
        false => None,
    };
    if let Some(folder) = &args.report {
        let (dataset, regressor, preprocessor) = (dataset.as_ref(), &regressor, &preprocessor);
        let viewer = Viewer { dataset, split: &split, regressor, preprocessor };
        let mut report = evaluated(&evaluation, &localized.results)?;
        if let Some(fused) = &fused {
            report.sections.insert(2, fused.section(&localized.results)?);
        }
        report.sections.extend(viewer.sections(&evaluation, &localized.results, &localized.reasons)?);
        report.write(folder)?;
    }
    Ok(Evaluated { metrics, fused })
}

/// The name of the model, and of the scene that it answers in where it knows several.
fn name_of(regressor: &PoseRegressor) -> String {
    let card = regressor.card();
    match regressor.scene() {
        Some(scene) => format!("{} in {}", card.name, card.scenes[scene].name),
        None => card.name.clone(),
    }
}

/// The split of a rule file, with the rule as one line for the report.
fn read_split(file: Option<&Path>, dataset: &dyn Dataset) -> Result<(String, Split)> {
    let rule = match file {
        Some(path) => load_yaml(path)?,
        None => SplitRule::Sequences { validation: None },
    };
    let split = rule.split(dataset)?;
    if split.test.is_empty() {
        return Err(Error::config("split", "a rule with test frames", "none; evaluate on a dataset that has some"));
    }
    let text = serde_json::to_string(&rule).map_err(|error| Error::compute("writing the split rule", error))?;
    Ok((text, split))
}

#[derive(Default)]
struct Localized {
    results: Vec<FrameResult>,
    answers: Vec<Option<Regression>>,
    /// How the camera moved to each frame, where that is known.
    motions: Vec<Option<RelativePose>>,
    /// Why there is none, per frame.
    reasons: Vec<Option<String>>,
    prepare: Vec<Duration>,
    network: Vec<Duration>,
    steps: [Vec<Duration>; 3],
}

impl Localized {
    /// What each answer stands on; empty for a model that measures nothing.
    fn evidence(&self, regressor: &PoseRegressor) -> Vec<Option<Evidence>> {
        let measures = regressor.measures();
        let answers = self.answers.iter().filter(|_| measures);
        answers.map(|answer| answer.as_ref().and_then(|answer| answer.evidence)).collect()
    }

    /// How each pose was aligned; empty for a model that aligns none.
    fn alignments(&self) -> Vec<AlignmentReport> {
        self.answers.iter().flatten().filter_map(|answer| answer.alignment).collect()
    }

    /// What was timed: the parts of the network are those of [`StepTimes`](crate::network::StepTimes).
    fn timings(&self) -> [(&str, &[Duration]); 5] {
        let [features, head, pose] = &self.steps;
        [
            ("rectify and resize", &self.prepare),
            ("network", &self.network),
            ("network: features", features),
            ("network: head", head),
            ("network: pose", pose),
        ]
    }
}

/// Why there is no answer, in a few words.
fn reason(error: &Error) -> String {
    match error {
        Error::NoAnswer { reason } => reason.clone(),
        error => error.to_string(),
    }
}

/// The network's answer to every test frame; its history ends where the sequence does.
fn localize(
    dataset: &dyn Dataset,
    split: &Split,
    preprocessor: &Preprocessor,
    regressor: &mut PoseRegressor,
) -> Result<Localized> {
    let steps = Progress::automatic().steps("localizing", split.test.len() as u64);
    let mut localized = Localized::default();
    let mut sequence = None;
    for &index in &split.test {
        let info = &dataset.frames()[index];
        if sequence.replace(info.sequence) != Some(info.sequence) {
            regressor.reset();
        }
        let image = dataset.image(index)?;
        let started = Instant::now();
        let pixels = preprocessor.apply(&image)?;
        let prepared = Instant::now();
        let answer = regressor.regress(&PixelFrame { stamp: info.stamp, pixels });
        localized.network.push(prepared.elapsed());
        localized.prepare.push(prepared - started);
        let times = regressor.step_times();
        for (step, time) in localized.steps.iter_mut().zip([times.features, times.head, times.pose]) {
            step.push(time);
        }
        let answer = answer.inspect_err(|error| tracing::warn!("{}: no answer: {error}", info.name));
        localized.reasons.push(answer.as_ref().err().map(reason));
        let answer = answer.ok();
        localized.motions.push(match &answer {
            Some(regression) => regression.relative.clone(),
            None => regressor.motion(),
        });
        localized.results.push(FrameResult {
            name: info.name.clone(),
            stamp: info.stamp,
            truth: info.map_from_camera,
            estimate: answer.as_ref().map(|regression| regression.absolute.clone()),
        });
        localized.answers.push(answer);
        steps.advance(1);
    }
    Ok(localized)
}
