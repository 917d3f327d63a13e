//! `vloc replay`: the node over a bag, without any middleware.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;

use super::node::{RosArgs, load_model};
use crate::bag::BagReader;
use crate::config::{Config, ImageTransport};
use crate::dataset::RosbagDatasetOptions;
use crate::evaluation::table;
use crate::middleware::Names;
use crate::msg::RosMessage;
use crate::msg::sensor_msgs::{CameraInfo, CompressedImage, Image};
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
    /// Where to write report.html as well, one file to open in a browser: the path, how sure the node was and in which
    /// state, what it refused; with --truth the errors, too. Beside it the pictures as SVG and the numbers as CSV.
    #[arg(long, value_name = "FOLDER")]
    pub report: Option<PathBuf>,
    /// Write smoothed.tum and smoothed_covariance.csv as well: the trajectory in hindsight. It is NOT causal: each pose
    /// comes from what was measured before it and after it, so it is no measure of what a robot would have known.
    /// Memory grows with the recording.
    #[arg(long)]
    pub smooth: bool,
    /// Compare with the poses of the robot's base in the map that the bag itself knows: on /tf, or on a topic of PoseStamped,
    /// PoseWithCovarianceStamped or Odometry. Prints a table, writes accuracy/.
    #[arg(long, value_name = "TOPIC")]
    pub truth: Option<String>,
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
    let mut config = args.ros.configuration(&[("model", model), ("device", args.device.clone())])?;
    let mut names = args.ros.names()?;
    adopt_topics(&BagReader::open(&args.bag)?, &mut config, &mut names)?;
    let localizer = load_model(&config)?;
    let truth = args.truth.as_ref().map(|topic| RosbagDatasetOptions {
        pose_topic: Some(topic.clone()),
        map_frame: config.global_frame_id.clone(),
        ..RosbagDatasetOptions::default()
    });
    let (report, rate, smooth, truth) = (args.report.as_deref(), args.rate, args.smooth, truth.as_ref());
    let request = ReplayRequest { bag: &args.bag, out: &args.out, report, rate, smooth, truth };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(|error| Error::compute("starting the runtime", error))?;
    let stopped = Arc::new(AtomicBool::new(false));
    runtime.spawn(note_interrupt(stopped.clone()));
    let summary = runtime.block_on(replay(request, config, &names, localizer, || stopped.load(Ordering::Relaxed)))?;
    print(&summary, args);
    Ok(())
}

/// Takes the images of a bag by whatever name they have, when it has only one topic of them and the node's own names
/// are not in it; their `camera_info` is the one beside them, else the only one.
fn adopt_topics(bag: &BagReader, config: &mut Config, names: &mut Names) -> Result<()> {
    let own = [names.resolve("image")?, names.resolve("image/compressed")?];
    if own.iter().any(|name| bag.topic(name).is_some()) {
        return Ok(());
    }
    let of_type = |types: &[&str]| -> Vec<String> {
        let matching = bag.topics().iter().filter(|topic| types.contains(&topic.message_type.as_str()));
        matching.map(|topic| topic.name.to_string()).collect()
    };
    let compressed = of_type(&[CompressedImage::TYPE]);
    let [image] = &of_type(&[Image::TYPE, CompressedImage::TYPE])[..] else { return Ok(()) };
    if compressed.is_empty() {
        names.remap(&format!("image:={image}"))?;
    } else {
        config.image_transport = ImageTransport::Compressed;
        names.remap(&format!("image/compressed:={image}"))?;
    }
    tracing::info!("images from {image}");
    let stem = image.strip_suffix("/compressed").unwrap_or(image);
    let beside = stem.rsplit_once('/').map_or_else(String::new, |(parent, _)| format!("{parent}/camera_info"));
    let infos = of_type(&[CameraInfo::TYPE]);
    let chosen = infos.iter().find(|name| **name == beside).or_else(|| infos.first().filter(|_| infos.len() == 1));
    if let Some(info) = chosen.filter(|_| names.resolve("camera_info").is_ok_and(|own| bag.topic(&own).is_none())) {
        names.remap(&format!("camera_info:={info}"))?;
        tracing::info!("calibration from {info}");
    }
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
    if let Some(accuracy) = &summary.accuracy {
        println!("\n{}", table(&accuracy.metrics));
        if let Some(seconds) = accuracy.correlation_time {
            println!(
                "-p estimator.correlation_time:={seconds:.2} would have made the 90 % ellipsoid true on this bag\n"
            );
        }
    }
    let accuracy = if args.truth.is_some() { ", accuracy/" } else { "" };
    println!("written to {}: trajectory.tum, summary.yaml, bag/{accuracy}", args.out.display());
    if let Some(folder) = &args.report {
        println!("report: {}", folder.join("report.html").display());
    }
    if let Some(smoothed) = &summary.smoothed {
        let (poses, runs) = (smoothed.poses, smoothed.runs);
        println!("not causal, {poses} poses in {runs} runs: smoothed.tum, smoothed_covariance.csv");
    }
}
