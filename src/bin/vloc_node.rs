//! The node as ROS 2 starts it: `vloc_node --ros-args -p model:=FOLDER -r image:=/camera/image_raw`.

use std::process::ExitCode;

use vloc::cli::node::{NodeArgs, RosArgs, run};
use vloc::cli::{QUIET_LIBRARIES, start_log};

fn main() -> ExitCode {
    let ros = RosArgs::from_ros(std::env::args().skip(1));
    let level = ros.as_ref().map_or("info", RosArgs::log_filter);
    start_log(&std::env::var("VLOC_LOG").unwrap_or_else(|_| format!("{level},{QUIET_LIBRARIES}")));
    match ros.and_then(|ros| run(&NodeArgs { model: None, device: None, ros })) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vloc_node: error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
