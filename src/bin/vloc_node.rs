//! The node as ROS 2 starts it: `vloc_node --ros-args -p model:=FOLDER -r image:=/camera/image_raw`. It is an rcl node
//! where the feature `ros` is built, and speaks native RTPS elsewhere.

use std::process::ExitCode;

use vloc::cli::node::{NodeArgs, RosArgs, run};
use vloc::cli::{QUIET_LIBRARIES, start_log};
#[cfg(feature = "ros")]
use vloc::middleware::r2r::Ros as Port;
#[cfg(not(feature = "ros"))]
use vloc::middleware::rtps::Rtps as Port;

fn main() -> ExitCode {
    let arguments = std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned());
    let ros = RosArgs::from_ros(arguments);
    let level = ros.as_ref().map_or("info", RosArgs::log_filter);
    start_log(&std::env::var("VLOC_LOG").unwrap_or_else(|_| format!("{level},{QUIET_LIBRARIES}")));
    match ros.and_then(|ros| run::<Port>(&NodeArgs { model: None, device: None, ros })) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vloc_node: error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
