//! `vloc graph`: pose graphs from files.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand, ValueEnum};

use crate::graph::{G2o, Method, Optimizer, Report, Settings, chordal_initialization};
use crate::{Error, Result};

/// Arguments of `vloc graph`.
#[derive(Args, Clone, Debug)]
pub struct GraphArgs {
    #[command(subcommand)]
    command: GraphCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum GraphCommand {
    /// Move the poses of a g2o file to the least cost; print cost, iterations, why it stopped, and times.
    Optimize(OptimizeArgs),
}

/// Arguments of `vloc graph optimize`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  vloc graph optimize sphere2500.g2o
  vloc graph optimize torus3D.g2o --init chordal --output torus3D_optimized.g2o")]
pub struct OptimizeArgs {
    /// A pose graph in space or in the plane. The first vertex is held, unless the file's FIX names others.
    #[arg(value_name = "FILE.g2o")]
    pub file: PathBuf,
    /// How steps are found.
    #[arg(long, value_enum, default_value_t = MethodName::Lm)]
    pub method: MethodName,
    /// Where the search starts: at the file's vertices, or where chordal initialization puts them.
    #[arg(long, value_enum, default_value_t = Start::File)]
    pub init: Start,
    /// Most iterations.
    #[arg(long, default_value_t = Settings::default().max_iterations, value_name = "COUNT")]
    pub max_iterations: usize,
    /// Stop when an iteration lowers the cost by less than this share of it.
    #[arg(long, default_value_t = Settings::default().relative_error_decrease, value_name = "SHARE")]
    pub relative_decrease: f64,
    /// Take one number for each edge's information about translation and one about rotation, as SE-Sync does: for files
    /// with information matrices that are not positive definite.
    #[arg(long)]
    pub isotropic: bool,
    /// Where to write the optimized graph.
    #[arg(long, value_name = "FILE.g2o")]
    pub output: Option<PathBuf>,
}

/// Names of the methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum MethodName {
    /// Levenberg-Marquardt.
    Lm,
    /// Gauss-Newton.
    Gn,
    /// Powell's dog-leg.
    Dogleg,
}

/// Names of the starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Start {
    /// The file's vertices; without any, the poses along its edges.
    File,
    /// Chordal initialization.
    Chordal,
}

/// Runs `vloc graph`.
///
/// # Errors
/// As [`G2o::read`], [`G2o::to_graph`], [`chordal_initialization`] and [`Optimizer::optimize`].
pub fn run(args: &GraphArgs) -> Result<()> {
    match &args.command {
        GraphCommand::Optimize(args) => optimize(args),
    }
}

fn optimize(args: &OptimizeArgs) -> Result<()> {
    let settings = settings(args)?;
    let file = G2o::read(&args.file)?;
    if file.pose_count() == 0 {
        return Err(Error::format(&args.file, "a pose graph with vertices", "none; is it the right file?"));
    }
    let mut file = if args.isotropic { file.isotropic()? } else { file };
    let (graph, mut values) = file.to_graph().map_err(|error| advised(error, args))?;
    let place = if file.is_planar() { "the plane" } else { "space" };
    println!("{}: {} poses and {} edges in {place}", args.file.display(), file.pose_count(), file.edge_count());
    if args.init == Start::Chordal {
        let begin = Instant::now();
        values = chordal_initialization(&graph, &values)?;
        println!("chordal initialization: {} ms", milliseconds(begin.elapsed()));
    }
    let report = Optimizer::new(settings).optimize(&graph, &mut values)?;
    print!("{}", summary(&report));
    if let Some(output) = &args.output {
        file.update(&values)?;
        file.write(output)?;
        println!("written to {}", output.display());
    }
    Ok(())
}

/// The error of a file whose information matrices are none, with the way round it.
fn advised(error: Error, args: &OptimizeArgs) -> Error {
    match error {
        Error::Message { expected, found, .. } if expected.contains("positive definite") && !args.isotropic => {
            let found = format!("{found}; --isotropic takes one number each for translation and rotation instead");
            Error::format(&args.file, format!("information: {expected}"), found)
        }
        other => other,
    }
}

fn settings(args: &OptimizeArgs) -> Result<Settings> {
    if !(args.relative_decrease >= 0.0 && args.relative_decrease < 1.0) {
        let found = args.relative_decrease.to_string();
        return Err(Error::config("relative_decrease", "a share from 0 up to 1", found));
    }
    let method = match args.method {
        MethodName::Lm => Method::LevenbergMarquardt,
        MethodName::Gn => Method::GaussNewton,
        MethodName::Dogleg => Method::DogLeg,
    };
    Ok(Settings {
        method,
        max_iterations: args.max_iterations,
        relative_error_decrease: args.relative_decrease,
        ..Settings::default()
    })
}

/// The report as lines of text.
fn summary(report: &Report) -> String {
    format!(
        "cost (half chi-square): {:.9e} before, {:.9e} after {} iterations\nstopped: {}\n\
         times in ms: {} whole; structure {}, linearize {}, factorize {}, solve {}, error {}\n",
        report.initial_error,
        report.final_error,
        report.iterations,
        report.stop,
        milliseconds(report.total_time()),
        milliseconds(report.structure_time),
        milliseconds(report.linearize_time),
        milliseconds(report.factorize_time),
        milliseconds(report.solve_time),
        milliseconds(report.error_time),
    )
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.3}", 1e3 * duration.as_secs_f64())
}
