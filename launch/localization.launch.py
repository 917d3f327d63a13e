"""Starts the vloc node: ros2 launch vloc localization.launch.py model:=/path/to/model image:=/camera/image_raw"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

ARGUMENTS = [
    ("model", None, "Model folder: model.yaml and weights.safetensors"),
    ("namespace", "", "Namespace of the node and its relative topics"),
    ("image", "image", "Topic of sensor_msgs/Image"),
    ("camera_info", "camera_info", "Topic of sensor_msgs/CameraInfo"),
    ("use_odometry", "true", "true: publish map -> odom; false: there is no odometry, publish map -> base_link"),
    ("use_sim_time", "false", "true: time comes from /clock"),
    ("params_file", PathJoinSubstitution([FindPackageShare("vloc"), "config", "vloc.yaml"]),
     "Parameter file; the arguments above win over it"),
]


def generate_launch_description():
    declared = [DeclareLaunchArgument(name, default_value=default, description=description)
                for name, default, description in ARGUMENTS]
    node = Node(
        package="vloc",
        executable="vloc_node",
        namespace=LaunchConfiguration("namespace"),
        parameters=[
            LaunchConfiguration("params_file"),
            {name: LaunchConfiguration(name) for name in ("model", "use_odometry", "use_sim_time")},
        ],
        remappings=[(name, LaunchConfiguration(name)) for name in ("image", "camera_info")],
        output="screen",
    )
    return LaunchDescription([*declared, node])
