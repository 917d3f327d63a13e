"""Localizes a robot: ros2 launch vloc localization.launch.py model:=/path/to/model image:=/camera/image_raw

An argument that is not given leaves its parameter to params_file. As shipped it starts localizing with the bundled model
of a synthetic room; a robot of your own needs a model of its place (vloc train).
"""

from pathlib import Path

import yaml
from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterFile, ParameterValue

SHARE = Path(__file__).absolute().parent.parent
BUNDLED_MODEL = SHARE / "models" / "synthetic-room"

# Arguments that set a parameter of the node where they are given, and the type of that parameter.
PARAMETERS = {
    "model": str,
    "device": str,
    "image_transport": str,
    "rectified_images": bool,
    "use_odometry": bool,
    "odometry_source": str,
    "use_imu": bool,
    "tf_broadcast": bool,
    "autostart": bool,
    "use_sim_time": bool,
}
TOPICS = ("image", "camera_info", "imu", "odom")

ARGUMENTS = [
    ("model", "",
     "Model folder (model.yaml and weights.safetensors), made by 'vloc train' in the place where the robot drives. Not given: "
     "the one that params_file names; if it names none, the bundled model of the synthetic room, which knows no real place."),
    ("params_file", str(SHARE / "config" / "vloc.yaml"),
     "Parameter file; the shipped one explains every parameter. Copy it and keep what you change; arguments that you give "
     "here win over it. Substitutions such as $(find-pkg-share my_robot) are filled in."),
    ("namespace", "", "Namespace of the node and of its relative topics and services, such as robot1."),
    ("image", "image", "Topic of the camera: sensor_msgs/Image, or <topic>/compressed with image_transport:=compressed."),
    ("camera_info", "camera_info",
     "Topic of the calibration (sensor_msgs/CameraInfo) of the same camera and image size. Without one, set camera_info_file "
     "in params_file."),
    ("imu", "imu", "Topic of the IMU (sensor_msgs/Imu). It carries the pose on between images; it may be missing."),
    ("odom", "odom", "Topic of the wheel odometry (nav_msgs/Odometry); heard only with odometry_source:=topic."),
    ("image_transport", "", "raw or compressed (jpeg, png). Not given: params_file decides (as shipped: raw)."),
    ("rectified_images", "",
     "true: the images are rectified already (image_rect), camera_info's distortion is ignored. Not given: params_file "
     "decides (as shipped: false)."),
    ("use_odometry", "",
     "true: something publishes odom -> base_link, and vloc publishes map -> odom. false: there is no odometry, and vloc "
     "publishes map -> base_link. Not given: params_file decides (as shipped: true)."),
    ("odometry_source", "", "tf or topic: where odom -> base_link comes from. Not given: params_file decides (as shipped: tf)."),
    ("use_imu", "", "Whether to listen to the IMU. Not given: params_file decides (as shipped: true)."),
    ("tf_broadcast", "",
     "Whether to publish on /tf at all; false for a filter downstream that owns map -> odom. Not given: params_file decides "
     "(as shipped: true)."),
    ("device", "", "Where the network runs: auto, cpu, cuda:0. Not given: params_file decides (as shipped: auto)."),
    ("autostart", "",
     "true: the node configures and activates itself. false: it waits for a lifecycle manager (ros2 lifecycle set, "
     "nav2_lifecycle_manager with bond_timeout 0.0). Not given: params_file decides (as shipped: true)."),
    ("use_sim_time", "",
     "true: time comes from /clock (simulation, ros2 bag play --clock). Not given: params_file decides (as shipped: false)."),
    ("use_respawn", "false", "true: a node that ended is started again after 2 s."),
    ("log_level", "info", "Log level of the node: debug, info, warn, error."),
    ("rviz", "false", "true: RViz with camera, path, pose and covariance, odometry, TF and map."),
    ("rviz_config", str(SHARE / "config" / "vloc.rviz"), "RViz configuration (rviz:=true); the shipped one shows the topics of the node."),
]


def truth(argument, text):
    """The boolean that an argument says, in the words that launch takes elsewhere."""
    if text.lower() in ("true", "1"):
        return True
    if text.lower() in ("false", "0"):
        return False
    raise ValueError(f"{argument}: expected true or false, found '{text}'")


def models_in(section):
    """The models that a parameter file names, for whatever node."""
    if not isinstance(section, dict):
        return []
    if "ros__parameters" in section:
        return [(section["ros__parameters"] or {}).get("model")]
    return [model for inner in section.values() for model in models_in(inner)]


def rviz_node(given):
    try:
        get_package_share_directory("rviz2")
    except PackageNotFoundError as error:
        raise RuntimeError("rviz:=true needs rviz2: apt install ros-$ROS_DISTRO-rviz2") from error
    topics = ("pose", "absolute_pose", "path", "odometry", "initialpose", "goal_pose", "map")
    return Node(
        package="rviz2",
        executable="rviz2",
        name="rviz2",
        namespace=given["namespace"],
        arguments=["-d", given["rviz_config"]],
        parameters=[{"use_sim_time": truth("use_sim_time", given["use_sim_time"] or "false")}],
        remappings=[(f"/{topic}", topic) for topic in topics]
        + [("/image", given["image"]), ("/image/compressed", given["image"] + "/compressed")],
    )


def start(context):
    given = {name: LaunchConfiguration(name).perform(context) for name, *_ in ARGUMENTS}
    params_file = Path(given["params_file"])
    if not params_file.is_file():
        raise FileNotFoundError(f"params_file: expected a parameter file, found none at {params_file}")
    actions = []
    if not given["model"] and not any(models_in(yaml.safe_load(params_file.read_text()))):
        given["model"] = str(BUNDLED_MODEL)
        actions.append(LogInfo(msg="vloc: no model was given; localizing in the bundled synthetic room (model:=FOLDER)"))
    parameters = {
        name: truth(name, given[name]) if kind is bool else ParameterValue(given[name], value_type=str)
        for name, kind in PARAMETERS.items() if given[name]
    }
    node = Node(
        package="vloc",
        executable="vloc_node",
        name="vloc",
        namespace=given["namespace"],
        parameters=[ParameterFile(params_file, allow_substs=True)] + [parameters] * bool(parameters),
        remappings=[(topic, given[topic]) for topic in TOPICS if given[topic] != topic]
        + [("image/compressed", given["image"] + "/compressed")] * (given["image"] != "image"),
        ros_arguments=["--log-level", given["log_level"]],
        respawn=truth("use_respawn", given["use_respawn"]),
        respawn_delay=2.0,
        output="screen",
    )
    actions.append(node)
    if truth("rviz", given["rviz"]):
        actions.append(rviz_node(given))
    return actions


def generate_launch_description():
    declared = [DeclareLaunchArgument(name, default_value=default, description=description)
                for name, default, description in ARGUMENTS]
    return LaunchDescription([*declared, OpaqueFunction(function=start)])
