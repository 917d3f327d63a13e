//! `vloc demo`: the whole way once, in the synthetic room, with the bundled model.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Args, Parser};

use super::{eval, replay, synth};
use crate::evaluation::table;
use crate::{Error, Result};

/// Marks a folder as a demo's, which the next demo may replace.
const MARKER: &str = ".vloc-demo";

/// Arguments of `vloc demo`.
#[derive(Args, Clone, Debug)]
pub struct DemoArgs {
    /// Where to leave everything; an earlier demo's folder is replaced.
    #[arg(long, value_name = "FOLDER", default_value = "out/demo")]
    pub out: PathBuf,
    /// Model folder of the synthetic room.
    #[arg(long, value_name = "FOLDER", default_value = "models/synthetic-room")]
    pub model: PathBuf,
    /// Where the network runs: auto, cpu, cuda:N.
    #[arg(long, default_value = "auto")]
    pub device: String,
}

/// Runs the demo: renders the room, measures the model on a pass it has not seen, replays that pass as a bag.
///
/// # Errors
/// Those of `synth`, `eval` and `replay`; [`Error::Config`] when the output folder is not a demo's.
pub fn run(args: &DemoArgs) -> Result<()> {
    let started = Instant::now();
    prepare_folder(&args.out)?;
    let path = |name: &str| args.out.join(name).to_string_lossy().into_owned();
    let (room, model) = (path("room"), args.model.to_string_lossy().into_owned());

    println!("[1/3] A robot learns a room in eight passes and walks through it again in another light.");
    let sparse = ["--rate", "2.5", "--frames", "200", "--test-frames", "150"];
    synth::run(&parse(&[&["--out", room.as_str()][..], &sparse].concat())?)?;

    println!("[2/3] Where does the bundled model say it is, on the walk that it has not seen?");
    let eval = ["--dataset", &room, "--model", &model, "--out", &path("eval"), "--device", &args.device];
    let report = path("report");
    let told = ["--ground-truth", "the renderer, exact", "--report", &report];
    let metrics = eval::evaluate(&parse(&[&eval[..], &told].concat())?)?.metrics;
    println!("{}", table(&metrics));

    println!("[3/3] The same walk as a bag, with IMU and wheel odometry, through the node.");
    let walk = ["--out", &path("walk"), "--passes", "0", "--test-frames", "300", "--rate", "10", "--format", "bag"];
    synth::run(&parse(&[&walk[..], &["--width", "320", "--height", "240"]].concat())?)?;
    let bag = args.out.join("walk/bags/test").to_string_lossy().into_owned();
    let replay = [&bag, "--model", &model, "--out", &path("replay"), "--device", &args.device];
    let measured = ["--truth", "/ground_truth/pose", "--smooth", "--report", &path("replay/report")];
    replay::run(&parse(&[&replay[..], &measured].concat())?)?;

    println!("\nDone in {:.0} s. Look at", started.elapsed().as_secs_f64());
    for (file, what) in [
        ("report/report.html", "the whole evaluation in a browser"),
        ("replay/report/report.html", "the replay in a browser"),
        ("eval/trajectory.svg", "the walk from above, truth and estimate"),
        ("eval/errors.svg", "cumulative errors beside image retrieval"),
        ("eval/metrics.json", "every number"),
        ("replay/accuracy/fused.svg", "the same walk, fused with IMU and odometry"),
        ("replay/trajectory.tum", "the robot's path in the map, for evo"),
        ("replay/bag", "the node's output beside its input, for Foxglove and RViz"),
    ] {
        println!("  {:<36} {what}", args.out.join(file).display());
    }
    Ok(())
}

/// An empty folder for the demo.
fn prepare_folder(folder: &Path) -> Result<()> {
    let marker = folder.join(MARKER);
    let is_empty = fs::read_dir(folder).map(|mut entries| entries.next().is_none()).unwrap_or(true);
    if !is_empty && !marker.exists() {
        let found = format!("{} with other files in it", folder.display());
        return Err(Error::config("--out", "a new or empty folder, or an earlier demo's", found));
    }
    if marker.exists() {
        fs::remove_dir_all(folder).map_err(Error::io("replace", folder))?;
    }
    fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    fs::write(&marker, "").map_err(Error::io("write", &marker))
}

/// The arguments of another subcommand, with its defaults.
fn parse<A: Args>(arguments: &[&str]) -> Result<A> {
    #[derive(Parser)]
    struct Only<A: Args> {
        #[command(flatten)]
        arguments: A,
    }
    let parsed = Only::<A>::try_parse_from(std::iter::once(&"vloc").chain(arguments));
    parsed.map(|only| only.arguments).map_err(|error| Error::compute("arguments of a demo step", error))
}
