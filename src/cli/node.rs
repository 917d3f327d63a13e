//! The localization node over a port, until SIGINT or SIGTERM. `vloc node` always speaks native RTPS, for machines
//! without ROS 2; `vloc_node` is an rcl node where the feature `ros` is built.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_yaml::{Mapping, Value};
use tokio::signal::unix::{SignalKind, signal};

use crate::config::{Config, ImageTransport, insert_parameter, merge_parameters, read_parameters};
use crate::middleware::{Live, Names};
use crate::network::PoseRegressor;
use crate::network::device::{Device, sleep_while_waiting};
use crate::network::memory::keep_working_memory;
use crate::node::{self, ManagedNode};
use crate::{Error, Result};

/// How long the end of the program waits for a model that is being loaded.
const PATIENCE_AT_END: Duration = Duration::from_secs(1);

/// What ROS's arguments begin with.
const ROS_ARGS: &str = "--ros-args";
/// How the switches of rcl's logging begin and end.
const RCL_FLAGS: [(&str, &str); 2] = [("--enable-", "-logs"), ("--disable-", "-logs")];

/// Parameters and names, as ROS nodes take them.
#[derive(Clone, Debug, Default, Args)]
pub struct RosArgs {
    /// Parameter file: plain YAML, or ROS's form with `ros__parameters`. Later files win.
    #[arg(long = "config", visible_alias = "params-file", value_name = "FILE")]
    pub config: Vec<PathBuf>,
    /// A parameter, such as `use_odometry:=false` (config/vloc.yaml lists them). Wins over files.
    #[arg(short = 'p', long = "param", value_name = "NAME:=VALUE")]
    pub parameters: Vec<String>,
    /// A topic under another name, such as `image:=/camera/image_raw`; `__ns:=/robot1`, `__node:=eyes`.
    #[arg(short = 'r', long = "remap", value_name = "FROM:=TO")]
    pub remappings: Vec<String>,
    /// What to log: debug, info, warn, error or fatal.
    #[arg(skip)]
    pub log_level: Option<String>,
}

/// Arguments of `vloc node`.
#[derive(Clone, Debug, Args)]
pub struct NodeArgs {
    /// Model folder; the same as `-p model:=FOLDER`.
    #[arg(long, value_name = "FOLDER")]
    pub model: Option<PathBuf>,
    /// Where the network runs: auto, cpu, cuda:0; the same as `-p device:=...`.
    #[arg(long)]
    pub device: Option<String>,
    /// Parameters and names.
    #[command(flatten)]
    pub ros: RosArgs,
}

impl RosArgs {
    /// The arguments of a ROS node: what stands between `--ros-args` and `--` (or the end). Others are refused.
    ///
    /// # Errors
    /// [`Error::Config`] for an argument that is not known, lacks its value or stands outside.
    pub fn from_ros(arguments: impl IntoIterator<Item = String>) -> Result<Self> {
        let mut parsed = Self::default();
        let mut arguments = arguments.into_iter();
        let mut inside = false;
        while let Some(argument) = arguments.next() {
            if !inside && argument != ROS_ARGS {
                return Err(Error::config("command line", "ROS's arguments, after --ros-args", argument));
            }
            let mut value = || {
                let missing = || Error::config(argument.clone(), "a value after it", "nothing");
                arguments.next().ok_or_else(missing)
            };
            match argument.as_str() {
                ROS_ARGS => inside = true,
                "--" => inside = false,
                "-p" | "--param" => parsed.parameters.push(value()?),
                "-r" | "--remap" => parsed.remappings.push(value()?),
                "--params-file" => parsed.config.push(value()?.into()),
                "--log-level" => parsed.log_level = Some(log_level(&value()?)?),
                // Of rcl's own logging and security: nothing here depends on them.
                "-e" | "--enclave" | "--log-config-file" | "--log-file-name" => drop(value()?),
                flag if RCL_FLAGS.iter().any(|(start, end)| flag.starts_with(start) && flag.ends_with(end)) => {}
                unknown => {
                    let known = "--ros-args with -p name:=value, -r from:=to, --params-file FILE, --log-level LEVEL";
                    return Err(Error::config("command line", known, unknown));
                }
            }
        }
        Ok(parsed)
    }

    /// What to log, in words of the log's filter.
    pub fn log_filter(&self) -> &str {
        self.log_level.as_deref().unwrap_or("info")
    }

    /// The names after remapping.
    ///
    /// # Errors
    /// [`Error::Config`] for a rule that is none.
    pub fn names(&self) -> Result<Names> {
        let mut names = Names::default();
        self.remappings.iter().try_for_each(|rule| names.remap(rule))?;
        Ok(names)
    }

    /// The configuration: defaults, then files, then single parameters, then `extra`.
    ///
    /// # Errors
    /// Those of [`read_parameters`] and [`Config::from_parameters`].
    pub fn configuration(&self, extra: &[(&str, Option<String>)]) -> Result<Config> {
        let mut parameters = Mapping::new();
        let node = self.names()?.absolute_node_name();
        for file in &self.config {
            merge_parameters(&mut parameters, &read_parameters(file, &node)?)?;
        }
        for parameter in &self.parameters {
            let (name, value) = parameter
                .split_once(":=")
                .ok_or_else(|| Error::config("-p", "name:=value", format!("{parameter:?}")))?;
            let value: Value = serde_yaml::from_str(value)
                .map_err(|error| Error::config(name, "a YAML value", format!("{value:?} ({error})")))?;
            insert_parameter(&mut parameters, name, value);
        }
        for (name, value) in extra {
            if let Some(value) = value {
                parameters.insert((*name).into(), value.as_str().into());
            }
        }
        Config::from_parameters(parameters)
    }
}

/// A level of ROS, or `name:=level`: there is one logger here.
fn log_level(argument: &str) -> Result<String> {
    let level = argument.rsplit_once(":=").map_or(argument, |(_, level)| level).to_lowercase();
    match level.as_str() {
        "debug" | "info" | "warn" | "error" => Ok(level),
        "unset" => Ok("info".into()),
        "fatal" => Ok("error".into()),
        _ => Err(Error::config("--log-level", "debug, info, warn, error or fatal", format!("{argument:?}"))),
    }
}

/// Runs the node until a signal ends it.
///
/// # Errors
/// A wrong parameter, a model that does not load, a network that cannot be joined.
pub fn run<P: Live>(args: &NodeArgs) -> Result<()> {
    keep_working_memory();
    if let Err(error) = sleep_while_waiting() {
        tracing::warn!("{error}");
    }
    let model = args.model.as_ref().map(|folder| folder.to_string_lossy().into_owned());
    let config = args.ros.configuration(&[("model", model), ("device", args.device.clone())])?;
    let names = args.ros.names()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| Error::compute("starting the runtime", error))?;
    let ran = runtime.block_on(localize::<P>(&config, &names));
    // A model that is still being loaded is of no use any more.
    runtime.shutdown_timeout(PATIENCE_AT_END);
    ran
}

/// The model that the configuration names.
///
/// # Errors
/// [`Error::Config`] without a model; those of [`PoseRegressor::load`].
pub fn load_model(config: &Config) -> Result<PoseRegressor> {
    if config.model.as_os_str().is_empty() {
        return Err(Error::config("model", "a model folder, by --model FOLDER or -p model:=FOLDER", "none"));
    }
    let device: Device = config.device.parse()?;
    let regressor = PoseRegressor::load_in(&config.model, &config.scene, device)?;
    if config.use_alignment { Ok(regressor) } else { regressor.with_alignment(false) }
}

async fn localize<P: Live>(config: &Config, names: &Names) -> Result<()> {
    let watch = |kind| signal(kind).map_err(|error| Error::compute("watching for signals", error));
    let (mut interrupt, mut terminate) = (watch(SignalKind::interrupt())?, watch(SignalKind::terminate())?);
    let mut node = ManagedNode::new(config.clone(), names.absolute_node_name())?;
    let mut port = P::open(config, names)?;
    let images = match config.image_transport {
        ImageTransport::Raw => "image",
        ImageTransport::Compressed => "image/compressed",
    };
    tracing::info!("listening for images on {}", names.resolve(images)?);
    let stop = async {
        tokio::select! {
            _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
            _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
        }
    };
    let ran = node::run(&mut port, &mut node, load_model, stop).await;
    port.close().await;
    let health = node.health();
    tracing::info!(poses = health.poses(), p50_s = health.percentile(0.5), p99_s = health.percentile(0.99), "stopped");
    ran
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<RosArgs> {
        RosArgs::from_ros(line.split_whitespace().map(String::from))
    }

    #[test]
    fn arguments_of_launch_are_understood() {
        let line = "--ros-args --log-level info --disable-rosout-logs --ros-args -r __node:=eyes -r __ns:=/robot1 \
                    --params-file a.yaml -p tf_broadcast:=false -r image:=/camera/image_raw --";
        let arguments = parsed(line).unwrap();
        assert_eq!(arguments.names().unwrap().absolute_node_name(), "/robot1/eyes");
        assert_eq!(arguments.config, [PathBuf::from("a.yaml")]);
        assert_eq!(arguments.parameters, ["tf_broadcast:=false"]);
        assert_eq!(arguments.names().unwrap().resolve("image").unwrap(), "/camera/image_raw");
    }

    #[test]
    fn what_rcl_would_not_see_is_refused() {
        for (line, found) in [
            ("-p model:=folder", "-p"),
            ("--ros-args -p model:=folder -- -r image:=/camera", "-r"),
            ("--ros-args -r", "nothing"),
            ("--ros-args --parameters file", "--parameters"),
        ] {
            let text = parsed(line).unwrap_err().to_string();
            assert!(text.ends_with(found), "{line}: {text}");
        }
    }
}
