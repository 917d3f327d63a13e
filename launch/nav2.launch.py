"""Nav2 with vloc in AMCL's place: ros2 launch vloc nav2.launch.py map:=/path/to/map.yaml model:=/path/to/model

Starts map_server, vloc_node and the lifecycle manager of both, then nav2_bringup's navigation_launch.py with the parameters
of your robot. The map must be drawn in the frame that the model was trained in.
"""

from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, GroupAction, IncludeLaunchDescription, OpaqueFunction
from launch.conditions import IfCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node, SetRemap
from launch_ros.parameter_descriptions import ParameterValue

try:
    from launch_ros.actions import PushROSNamespace
except ImportError:  # Humble
    from launch_ros.actions import PushRosNamespace as PushROSNamespace

FOLDER = Path(__file__).absolute().parent
LOCALIZATION = str(FOLDER / "localization.launch.py")
SHIPPED_PARAMETERS = str(FOLDER.parent / "config" / "nav2.yaml")

# Those of localization.launch.py that have another default or more to say here; all others follow unchanged.
ARGUMENTS = [
    ("map", None, "Map of map_server (its YAML file): what planner and costmaps see. vloc itself does not read it."),
    ("nav2_params_file", "",
     "Nav2's parameters for your robot. Not given: nav2_params.yaml of nav2_bringup, made for a TurtleBot."),
    ("localization_params_file", SHIPPED_PARAMETERS,
     "Parameters of map_server and of the lifecycle manager of map_server and vloc."),
    ("namespace", "", "Namespace of all nodes; inside one, /tf and /tf_static become its own, as in nav2_bringup."),
    ("use_sim_time", "false", "true: the time of all nodes comes from /clock."),
    ("autostart", "true", "true: the lifecycle managers bring everything up. false: call their manage_nodes services."),
    ("navigation", "true", "false: only map_server, vloc and their lifecycle manager, for a navigation that runs already."),
    ("use_respawn", "false",
     "true: a node that ended is started again. vloc then waits for its lifecycle manager to be told (manage_nodes): there is "
     "no bond between them."),
    ("log_level", "info", "Log level of all nodes: debug, info, warn, error."),
]


PASSED = ("namespace", "use_sim_time", "use_respawn", "log_level")


def share_of(package):
    try:
        return get_package_share_directory(package)
    except PackageNotFoundError as error:
        apt = package.replace("_", "-")
        raise RuntimeError(f"nav2.launch.py needs {package}: apt install ros-$ROS_DISTRO-{apt}") from error


def boolean(argument):
    return ParameterValue(LaunchConfiguration(argument), value_type=bool)


def localization_nodes(_context):
    """map_server, and the manager that brings it and vloc up."""
    parameters = [LaunchConfiguration("localization_params_file"), {"use_sim_time": boolean("use_sim_time")}]
    common = {
        "namespace": LaunchConfiguration("namespace"),
        "ros_arguments": ["--log-level", LaunchConfiguration("log_level")],
        "output": "screen",
    }
    for package in ("nav2_map_server", "nav2_lifecycle_manager"):
        share_of(package)
    map_server = Node(
        package="nav2_map_server", executable="map_server", name="map_server",
        parameters=[*parameters, {"yaml_filename": LaunchConfiguration("map")}],
        respawn=LaunchConfiguration("use_respawn"), respawn_delay=2.0, **common)
    manager = Node(
        package="nav2_lifecycle_manager", executable="lifecycle_manager", name="lifecycle_manager_localization",
        parameters=[*parameters, {"autostart": boolean("autostart")}], **common)
    return [map_server, manager]


def navigation(context):
    """nav2_bringup's own launch file: everything but localization."""
    bringup = share_of("nav2_bringup")
    parameters = LaunchConfiguration("nav2_params_file").perform(context)
    passed = {name: LaunchConfiguration(name) for name in (*PASSED, "autostart")}
    passed["params_file"] = parameters or str(Path(bringup, "params", "nav2_params.yaml"))
    file = Path(bringup, "launch", "navigation_launch.py")
    include = IncludeLaunchDescription(PythonLaunchDescriptionSource(str(file)), launch_arguments=passed.items())
    # Until Kilted, nav2_bringup leaves entering the namespace to whom includes this file.
    enters_namespace = "PushROSNamespace(" in file.read_text()
    return [include] if enters_namespace else [PushROSNamespace(LaunchConfiguration("namespace")), include]


def generate_launch_description():
    declared = [DeclareLaunchArgument(name, default_value=default, description=description)
                for name, default, description in ARGUMENTS]
    vloc = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(LOCALIZATION),
        launch_arguments=[*((name, LaunchConfiguration(name)) for name in PASSED), ("autostart", "false")])
    return LaunchDescription([
        *declared,
        GroupAction([OpaqueFunction(function=localization_nodes)]),
        GroupAction([SetRemap("/tf", "tf"), SetRemap("/tf_static", "tf_static"), vloc]),
        GroupAction([OpaqueFunction(function=navigation)], condition=IfCondition(LaunchConfiguration("navigation"))),
    ])
