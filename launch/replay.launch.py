"""Plays a rosbag2 to the node in the bag's own time: ros2 launch vloc replay.launch.py bag:=out/room/bags/test

For numbers use `vloc replay`, which is faster than real time and gives the same bytes on every run; this is for looking, and
for trying the robot's own graph. The topics default to those of the bags that `vloc synth` writes.
"""

import shlex
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from launch import LaunchDescription
from launch.actions import (DeclareLaunchArgument, ExecuteProcess, IncludeLaunchDescription, OpaqueFunction,
                            RegisterEventHandler, Shutdown)
from launch.conditions import IfCondition
from launch.event_handlers import OnProcessExit
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

LOCALIZATION = str(Path(__file__).absolute().with_name("localization.launch.py"))

# Those of localization.launch.py that have another default here, and what only a replay has; all others follow unchanged.
ARGUMENTS = [
    ("bag", None, "Folder of the rosbag2 (mcap or sqlite3). A map -> odom in its /tf is not used by vloc, but confuses RViz."),
    ("rate", "1.0", "How many times faster than recorded the bag plays."),
    ("delay", "3.0", "Seconds before the bag starts, while the node loads its model."),
    ("bag_arguments", "", "More arguments of 'ros2 bag play', such as '--loop --start-offset 10'."),
    ("exit_at_end", "false", "true: everything ends with the bag. false: RViz and the node stay."),
    ("image", "/camera/image", "Topic of the camera in the bag."),
    ("camera_info", "/camera/camera_info", "Topic of the camera's calibration in the bag."),
    ("imu", "/imu", "Topic of the IMU in the bag."),
    ("odom", "/odom", "Topic of the wheel odometry in the bag."),
    ("use_sim_time", "true", "Time comes from the bag; anything else makes every image too old."),
    ("rviz", "true", "RViz with camera, path, pose and covariance, odometry, TF and map; false on a machine without a screen."),
]
TO_LOCALIZATION = ("image", "camera_info", "imu", "odom", "use_sim_time", "rviz")


def play(context):
    given = {name: LaunchConfiguration(name).perform(context) for name, *_ in ARGUMENTS}
    try:
        get_package_share_directory("ros2bag")
    except PackageNotFoundError as error:
        needed = "apt install ros-$ROS_DISTRO-ros2bag ros-$ROS_DISTRO-rosbag2-storage-mcap"
        raise RuntimeError(f"replay.launch.py needs ros2 bag: {needed}") from error
    command = ["ros2", "bag", "play", given["bag"], "--clock", "100", "--rate", given["rate"], "--delay", given["delay"]]
    player = ExecuteProcess(cmd=command + shlex.split(given["bag_arguments"]), output="screen")
    end = OnProcessExit(target_action=player, on_exit=[Shutdown(reason="the bag has ended")])
    return [RegisterEventHandler(end, condition=IfCondition(given["exit_at_end"])), player]


def generate_launch_description():
    declared = [DeclareLaunchArgument(name, default_value=default, description=description)
                for name, default, description in ARGUMENTS]
    localization = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(LOCALIZATION),
        launch_arguments=[(name, LaunchConfiguration(name)) for name in TO_LOCALIZATION],
    )
    return LaunchDescription([*declared, localization, OpaqueFunction(function=play)])
