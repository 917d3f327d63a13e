//! The command line: one file per subcommand, each a `...Args` struct and a `run` function.

mod align;
mod autoencode;
mod baselines;
mod calibrate;
mod compare;
mod demo;
mod ensemble;
mod eval;
mod fused;
mod graph;
mod inspect;
pub mod node;
mod picture;
mod pretrain;
mod replay;
mod report;
pub mod synth;
mod train;

use std::io::IsTerminal;

use clap::{CommandFactory, Parser, Subcommand};

use crate::Result;
use crate::middleware::rtps::Rtps;
use crate::network::device::sleep_while_waiting;
use crate::network::memory::keep_working_memory;

const AFTER_HELP: &str = "\
Exit codes:
  0    success
  1    the computation or the middleware failed
  2    wrong usage
  3    a file could not be read or written
  4    input data is not what it should be (dataset, bag, message)
  5    a parameter or configuration value is wrong
  6    the model is wrong or does not fit
  130  stopped by a signal before the work was done

First steps:
  vloc demo                                     localize a robot in a synthetic room with the bundled model
  vloc inspect my_bag                           what is in a bag, and what is wrong with it
  vloc train --dataset my_bag --out my_model    learn a place from a bag that knows its poses
  vloc eval --dataset my_scene --model my_model --out out/eval --report out/report
  vloc replay other_bag --model my_model --out out/replay
  vloc node --model my_model                    localize live over ROS 2 (native RTPS, no ROS installation)";

/// What the log's filter says of the libraries. The RTPS client calls it an error that a publisher is dropped after its
/// network was left, which is how every node ends; r2r, that a publisher left.
pub const QUIET_LIBRARIES: &str = "rustdds=error,rustdds::dds::pubsub=off,ros2_client=error,r2r::subscribers=off";

/// Tells a robot where it is, from one camera, in a place it has seen before.
#[derive(Debug, Parser)]
#[command(name = "vloc", version, about, after_help = AFTER_HELP, max_term_width = 110)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    /// What to log, as a tracing filter (such as `debug` or `vloc::node=debug,warn`).
    #[arg(
        long,
        global = true,
        env = "VLOC_LOG",
        default_value_t = format!("info,{QUIET_LIBRARIES}"),
        value_name = "FILTER"
    )]
    log: String,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Render a robot's walk through the synthetic room and localize it with the bundled model.
    Demo(demo::DemoArgs),
    /// Write the synthetic world as a dataset and as rosbag2.
    Synth(synth::SynthArgs),
    /// Train a model on a dataset or a bag.
    Train(Box<train::TrainArgs>),
    /// Train an encoder for --preset scene-coordinates-rooms on synthetic rooms, from no recording.
    Pretrain(pretrain::PretrainArgs),
    /// Join several trainings to one model.
    Ensemble(ensemble::EnsembleArgs),
    /// Fit the covariances of a model anew, on frames that it was not trained on.
    Calibrate(calibrate::CalibrateArgs),
    /// Add reference frames to a model, by which poses are measured or aligned.
    Align(align::AlignArgs),
    /// Train a pose auto-encoder for a model: what it makes of an image, from the pose alone.
    Autoencode(autoencode::AutoencodeArgs),
    /// Show what a model with a pose auto-encoder remembers at poses, as pictures.
    Picture(picture::PictureArgs),
    /// Localize the test frames of a dataset and compare with ground truth and image retrieval.
    Eval(eval::EvalArgs),
    /// Put several finished runs of eval or replay in one report.
    Compare(compare::CompareArgs),
    /// Run the node over a bag, without any middleware, the same on every run.
    Replay(replay::ReplayArgs),
    /// Run the localization node over native RTPS.
    Node(node::NodeArgs),
    /// Describe a bag (topics, rates, gaps, stamps) or a model (its card).
    Inspect(inspect::InspectArgs),
    /// Optimize a pose graph from a g2o file.
    Graph(graph::GraphArgs),
    /// Print a completion script for a shell.
    Completions {
        /// For which shell.
        shell: clap_complete::Shell,
    },
}

impl Cli {
    /// Runs the chosen command to its end.
    ///
    /// # Errors
    /// Whatever the command reports; [`crate::Error::exit_code`] is the exit code of the program.
    pub fn run(&self) -> Result<()> {
        start_log(&self.log);
        let shares_the_machine = !matches!(
            self.command,
            Command::Train(_)
                | Command::Pretrain(_)
                | Command::Ensemble(_)
                | Command::Align(_)
                | Command::Autoencode(_)
                | Command::Graph(_)
                | Command::Compare(_)
                | Command::Completions { .. }
        );
        if shares_the_machine {
            keep_working_memory();
            if let Err(error) = sleep_while_waiting() {
                tracing::warn!("{error}");
            }
        }
        match &self.command {
            Command::Demo(args) => demo::run(args),
            Command::Synth(args) => synth::run(args),
            Command::Train(args) => train::run(args),
            Command::Pretrain(args) => pretrain::run(args),
            Command::Ensemble(args) => ensemble::run(args),
            Command::Calibrate(args) => calibrate::run(args),
            Command::Align(args) => align::run(args),
            Command::Autoencode(args) => autoencode::run(args),
            Command::Picture(args) => picture::run(args),
            Command::Eval(args) => eval::run(args),
            Command::Compare(args) => compare::run(args),
            Command::Replay(args) => replay::run(args),
            Command::Node(args) => node::run::<Rtps>(args),
            Command::Inspect(args) => inspect::run(args),
            Command::Graph(args) => graph::run(args),
            Command::Completions { shell } => {
                clap_complete::generate(*shell, &mut Cli::command(), "vloc", &mut std::io::stdout());
                Ok(())
            }
        }
    }
}

/// Logs to stderr what a filter lets through, so that tables and completions on stdout stay clean.
pub fn start_log(filter: &str) {
    let filter = tracing_subscriber::EnvFilter::try_new(filter).unwrap_or_else(|error| {
        eprintln!("vloc: --log {filter:?} is not a filter ({error}); logging at level info");
        tracing_subscriber::EnvFilter::new("info")
    });
    // A second start in one process (tests) keeps the first subscriber.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .without_time()
        .try_init();
}
