//! A whole run of the node over a bag, and what it leaves behind in a folder: the same bytes on every run.
//!
//! | file | content |
//! |---|---|
//! | `trajectory.tum` | pose of the base in the map at the images' stamps: `stamp x y z qx qy qz qw` |
//! | `summary.yaml` | how many images, poses, transforms; what was refused and why ([`Summary`]) |
//! | `bag/` | rosbag2 (mcap): the input and the node's messages beside it |
//! | `accuracy/` | when asked for, `pose` and `absolute_pose` compared with the poses that the bag knows ([`crate::evaluation::Metrics`], tables and pictures) |
//! | `smoothed.tum`, `smoothed_covariance.csv` | when asked for, the trajectory in hindsight, which is *not causal*: each pose from what was measured before it and after it |
//!
//! A report for a browser goes to a folder of its own, when asked for.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::accuracy::{self, Accuracy, Measured, Said};
use super::replay_report::{Watched, report};
use super::smoothed::{self, SmoothedSummary};
use super::{Core, Health, Localizer, run_lock_step};
use crate::bag::BagReader;
use crate::config::Config;
use crate::dataset::{RosbagDataset, RosbagDatasetOptions};
use crate::estimator::Estimator;
use crate::geometry::Trajectory;
use crate::middleware::replay::Replay;
use crate::middleware::{Input, Names, Outgoing};
use crate::{Error, Result};

/// What a replay came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// Images that came.
    pub images: u64,
    /// Poses that went out.
    pub poses: u64,
    /// Seconds from the first pose's stamp to the last one's.
    pub span_s: f64,
    /// How often the clock jumped back.
    pub clock_jumps: u64,
    /// What was refused, by reason.
    pub refused: BTreeMap<String, Refused>,
    /// The trajectory in hindsight, when it was asked for; not causal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smoothed: Option<SmoothedSummary>,
    /// How right it was, when that was asked for.
    #[serde(skip)]
    pub accuracy: Option<Accuracy>,
}

/// How often a reason occurred, and its last text.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Refused {
    /// How often.
    pub count: u64,
    /// What was said the last time.
    pub last: String,
}

/// Which files a replay reads and writes.
#[derive(Clone, Copy, Debug)]
pub struct ReplayRequest<'a> {
    /// The bag to play.
    pub bag: &'a Path,
    /// The folder to write; it must not hold an earlier replay's `bag`.
    pub out: &'a Path,
    /// The folder for `report.html` and its files; `None`: no report.
    pub report: Option<&'a Path>,
    /// Seconds of the recording per second; `None`: as fast as the machine allows.
    pub rate: Option<f64>,
    /// Whether to write the trajectory in hindsight as well; needs `use_estimator`.
    pub smooth: bool,
    /// Where the bag has poses of the robot's base to compare with; `None`: it is not asked.
    pub truth: Option<&'a RosbagDatasetOptions>,
}

impl<'a> ReplayRequest<'a> {
    /// As fast as the machine allows, without the extra files.
    pub fn new(bag: &'a Path, out: &'a Path) -> Self {
        Self { bag, out, report: None, rate: None, smooth: false, truth: None }
    }
}

/// Replays a bag through the node. What was read before an error is written before the error is returned.
///
/// # Errors
/// Those of [`Replay::open`]; [`Error::Interrupted`] when `stop` said so; a bag that is cut off or cannot be written;
/// [`Error::Config`] for a smoothed trajectory without the estimator; a bag that lacks the poses to compare with.
pub async fn replay<L: Localizer>(
    request: ReplayRequest<'_>,
    mut config: Config,
    names: &Names,
    localizer: L,
    stop: impl FnMut() -> bool,
) -> Result<Summary> {
    let correlation_time = config.estimator.correlation_time_for(localizer.correlation_time());
    config.estimator.correlation_time = correlation_time;
    let mut core = Core::new(config.clone())?;
    core.set_network_camera(localizer.camera())?;
    core.runs_on(localizer.device());
    if request.smooth {
        smoothed::check(&config)?;
        core.estimator().keep_history();
    }
    if let Some(options) = request.truth {
        RosbagDataset::check_pose_topic(&BagReader::open(request.bag)?, options)?;
    }
    std::fs::create_dir_all(request.out).map_err(Error::io("create", request.out))?;
    let mut port = Replay::open(request.bag, &request.out.join("bag"), &config, names, request.rate)?;
    // By stamp: a clock that jumped back leaves two runs in one recording, and a trajectory has one pose per stamp.
    let mut said = Said::default();
    let mut watched = Watched::default();
    let watch = |outgoing: &Outgoing| match outgoing {
        Outgoing::Pose(pose) => drop(said.pose.insert(pose.stamp, (**pose).clone())),
        Outgoing::AbsolutePose(pose) => drop(said.absolute_pose.insert(pose.stamp, (**pose).clone())),
        Outgoing::Diagnostics(diagnostics) => watched.add(diagnostics),
        _ => {}
    };
    let ran = run_lock_step(&mut port, &mut core, localizer, stop, watch).await;
    let read = port.finish();
    let trajectory = Trajectory::new(said.pose.values().map(|pose| (pose.stamp, pose.map_from_base)).collect())?;
    trajectory.write_tum(&request.out.join("trajectory.tum"))?;
    let mut summary = summarize(core.health(), &trajectory);
    let looked = look_back(&request, &config, names, core.estimator(), &mut said, &mut summary);
    let path = request.out.join("summary.yaml");
    let yaml = serde_yaml::to_string(&summary).map_err(|error| Error::compute("writing the summary", error))?;
    std::fs::write(&path, yaml).map_err(Error::io("write", &path))?;
    let said = watched.with(&said.pose);
    let reported = match (request.report, &looked) {
        (Some(folder), Ok(measured)) => {
            report(request.bag, &summary, &trajectory, &said, measured.as_ref()).and_then(|report| report.write(folder))
        }
        _ => Ok(()),
    };
    let measured = ran.and(read).and(looked)?;
    reported?;
    summary.accuracy = measured.map(|measured| measured.accuracy);
    Ok(summary)
}

/// What can be said once the recording has ended: the trajectory in hindsight, and how right the poses were.
fn look_back(
    request: &ReplayRequest<'_>,
    config: &Config,
    names: &Names,
    estimator: &mut Estimator,
    said: &mut Said,
    summary: &mut Summary,
) -> Result<Option<Measured>> {
    if request.smooth {
        let runs = estimator.smoothed()?;
        summary.smoothed = Some(smoothed::write(&runs, request.out)?);
        said.smooth(&runs);
    }
    let measure = |options| accuracy::measure(request.bag, options, config, names, said, &request.out.join("accuracy"));
    request.truth.map(measure).transpose()
}

fn summarize(health: &Health, trajectory: &Trajectory) -> Summary {
    let refused = health.refusals().iter().map(|(reason, refusals)| {
        (reason.name().to_owned(), Refused { count: refusals.count, last: refusals.last.clone() })
    });
    Summary {
        images: health.arrivals(Input::Image),
        poses: health.poses(),
        span_s: trajectory.span().map_or(0.0, |(first, last)| last.seconds_since(first)),
        clock_jumps: health.clock_jumps(),
        refused: refused.collect(),
        smoothed: None,
        accuracy: None,
    }
}
