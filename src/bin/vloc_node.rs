//! The node as ROS 2 starts it: `vloc_node --ros-args -p model:=FOLDER -r image:=/camera/image_raw`. It is an rcl node
//! where the feature `ros` is built, and speaks native RTPS elsewhere.

use std::io::IsTerminal;
use std::process::ExitCode;

use vloc::cli::node::{NodeArgs, RosArgs, run};
#[cfg(feature = "ros")]
use vloc::middleware::r2r::Ros as Port;
#[cfg(not(feature = "ros"))]
use vloc::middleware::rtps::Rtps as Port;

fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_env("VLOC_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info,rustdds=error,ros2_client=error"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
    let arguments = std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned());
    let ros = RosArgs::from_ros(arguments);
    match ros.and_then(|ros| run::<Port>(&NodeArgs { model: None, device: None, ros })) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vloc_node: error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
