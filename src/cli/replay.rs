//! `vloc replay`: the node over a bag, without any middleware.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;

use super::node::{RosArgs, load_model};
use crate::node::{ReplayRequest, Summary, replay};
use crate::{Error, Result};

/// Arguments of `vloc replay`.
#[derive(Clone, Debug, Args)]
pub struct ReplayArgs {
    /// The bag: a rosbag2 folder, an .mcap or a .db3.
    pub bag: PathBuf,
    /// Model folder; the same as `-p model:=FOLDER`.
    #[arg(long, value_name = "FOLDER")]
    pub model: Option<PathBuf>,
    /// Where to write trajectory.tum, summary.yaml and bag/; must not hold an earlier replay.
    #[arg(long, value_name = "FOLDER")]
    pub out: PathBuf,
    /// Write report.md as well.
    #[arg(long)]
    pub report: bool,
    /// Seconds of the recording per second; without it, as fast as the machine allows.
    #[arg(long, value_name = "FACTOR")]
    pub rate: Option<f64>,
    /// Where the network runs: auto, cpu, cuda:0.
    #[arg(long)]
    pub device: Option<String>,
    /// Parameters and names.
    #[command(flatten)]
    pub ros: RosArgs,
}

/// Replays a bag.
///
/// # Errors
/// A wrong parameter, a model that does not load, a bag that cannot be read to its end, [`Error::Interrupted`].
pub fn run(args: &ReplayArgs) -> Result<()> {
    if let Some(rate) = args.rate.filter(|rate| !(*rate > 0.0 && rate.is_finite())) {
        return Err(Error::config("--rate", "a factor above 0", rate.to_string()));
    }
    let model = args.model.as_ref().map(|folder| folder.to_string_lossy().into_owned());
    let config = args.ros.configuration(&[("model", model), ("device", args.device.clone())])?;
    let names = args.ros.names()?;
    let localizer = load_model(&config)?;
    let request = ReplayRequest { bag: &args.bag, out: &args.out, report: args.report, rate: args.rate };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(|error| Error::compute("starting the runtime", error))?;
    let stopped = Arc::new(AtomicBool::new(false));
    runtime.spawn(note_interrupt(stopped.clone()));
    let summary = runtime.block_on(replay(request, config, &names, localizer, || stopped.load(Ordering::Relaxed)))?;
    print(&summary, args);
    Ok(())
}

async fn note_interrupt(stopped: Arc<AtomicBool>) {
    if tokio::signal::ctrl_c().await.is_ok() {
        stopped.store(true, Ordering::Relaxed);
    }
}

fn print(summary: &Summary, args: &ReplayArgs) {
    println!("{} images, {} poses over {:.1} s", summary.images, summary.poses, summary.span_s);
    for (reason, refused) in &summary.refused {
        println!("  {reason}: {} ({})", refused.count, refused.last);
    }
    println!("written to {}: trajectory.tum, summary.yaml, bag/", args.out.display());
}
