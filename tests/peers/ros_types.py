"""ROS 2's messages and services as CycloneDDS's Python binding sees them on the wire, and a bag's images as messages."""

import sys
from dataclasses import dataclass
from pathlib import Path

from cyclonedds.core import Policy, Qos
from cyclonedds.idl import IdlStruct
from cyclonedds.idl._machinery import BytesMachine
from cyclonedds.idl.types import array, float64, int32, int64, sequence, uint8, uint32, uint64
from cyclonedds.util import duration
from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_typestore


def ros(package, name):
    return f"{package}::msg::dds_::{name}_"


@dataclass
class Time(IdlStruct, typename=ros("builtin_interfaces", "Time")):
    sec: int32
    nanosec: uint32


@dataclass
class Header(IdlStruct, typename=ros("std_msgs", "Header")):
    stamp: Time
    frame_id: str


@dataclass
class Image(IdlStruct, typename=ros("sensor_msgs", "Image")):
    header: Header
    height: uint32
    width: uint32
    encoding: str
    is_bigendian: uint8
    step: uint32
    data: sequence[uint8]


def send_bytes_whole(kind, field):
    """The binding packs sequence[uint8] number by number (tens of milliseconds an image); bytes are the same wire."""
    kind.__idl__.populate()
    for machine in (kind.__idl__.v1_machine, kind.__idl__.v2_machine):
        machine.members_machines[field] = BytesMachine()


send_bytes_whole(Image, "data")


@dataclass
class RegionOfInterest(IdlStruct, typename=ros("sensor_msgs", "RegionOfInterest")):
    x_offset: uint32
    y_offset: uint32
    height: uint32
    width: uint32
    do_rectify: bool


@dataclass
class CameraInfo(IdlStruct, typename=ros("sensor_msgs", "CameraInfo")):
    header: Header
    height: uint32
    width: uint32
    distortion_model: str
    d: sequence[float64]
    k: array[float64, 9]
    r: array[float64, 9]
    p: array[float64, 12]
    binning_x: uint32
    binning_y: uint32
    roi: RegionOfInterest


@dataclass
class Vector3(IdlStruct, typename=ros("geometry_msgs", "Vector3")):
    x: float64
    y: float64
    z: float64


@dataclass
class Point(IdlStruct, typename=ros("geometry_msgs", "Point")):
    x: float64
    y: float64
    z: float64


@dataclass
class Quaternion(IdlStruct, typename=ros("geometry_msgs", "Quaternion")):
    x: float64
    y: float64
    z: float64
    w: float64


@dataclass
class Pose(IdlStruct, typename=ros("geometry_msgs", "Pose")):
    position: Point
    orientation: Quaternion


@dataclass
class PoseWithCovariance(IdlStruct, typename=ros("geometry_msgs", "PoseWithCovariance")):
    pose: Pose
    covariance: array[float64, 36]


@dataclass
class PoseWithCovarianceStamped(IdlStruct, typename=ros("geometry_msgs", "PoseWithCovarianceStamped")):
    header: Header
    pose: PoseWithCovariance


@dataclass
class Twist(IdlStruct, typename=ros("geometry_msgs", "Twist")):
    linear: Vector3
    angular: Vector3


@dataclass
class TwistWithCovariance(IdlStruct, typename=ros("geometry_msgs", "TwistWithCovariance")):
    twist: Twist
    covariance: array[float64, 36]


@dataclass
class Odometry(IdlStruct, typename=ros("nav_msgs", "Odometry")):
    header: Header
    child_frame_id: str
    pose: PoseWithCovariance
    twist: TwistWithCovariance


@dataclass
class Imu(IdlStruct, typename=ros("sensor_msgs", "Imu")):
    header: Header
    orientation: Quaternion
    orientation_covariance: array[float64, 9]
    angular_velocity: Vector3
    angular_velocity_covariance: array[float64, 9]
    linear_acceleration: Vector3
    linear_acceleration_covariance: array[float64, 9]


@dataclass
class Transform(IdlStruct, typename=ros("geometry_msgs", "Transform")):
    translation: Vector3
    rotation: Quaternion


@dataclass
class TransformStamped(IdlStruct, typename=ros("geometry_msgs", "TransformStamped")):
    header: Header
    child_frame_id: str
    transform: Transform


@dataclass
class TFMessage(IdlStruct, typename=ros("tf2_msgs", "TFMessage")):
    transforms: sequence[TransformStamped]


@dataclass
class State(IdlStruct, typename=ros("lifecycle_msgs", "State")):
    id: uint8
    label: str


@dataclass
class Transition(IdlStruct, typename=ros("lifecycle_msgs", "Transition")):
    id: uint8
    label: str


@dataclass
class TransitionDescription(IdlStruct, typename=ros("lifecycle_msgs", "TransitionDescription")):
    transition: Transition
    start_state: State
    goal_state: State


@dataclass
class TransitionEvent(IdlStruct, typename=ros("lifecycle_msgs", "TransitionEvent")):
    timestamp: uint64
    transition: Transition
    start_state: State
    goal_state: State


@dataclass
class ParameterValue(IdlStruct, typename=ros("rcl_interfaces", "ParameterValue")):
    type: uint8 = 0
    bool_value: bool = False
    integer_value: int64 = 0
    double_value: float64 = 0.0
    string_value: str = ""
    byte_array_value: sequence[uint8] = ()
    bool_array_value: sequence[bool] = ()
    integer_array_value: sequence[int64] = ()
    double_array_value: sequence[float64] = ()
    string_array_value: sequence[str] = ()


@dataclass
class Parameter(IdlStruct, typename=ros("rcl_interfaces", "Parameter")):
    name: str
    value: ParameterValue


@dataclass
class ParameterEvent(IdlStruct, typename=ros("rcl_interfaces", "ParameterEvent")):
    stamp: Time
    node: str
    new_parameters: sequence[Parameter]
    changed_parameters: sequence[Parameter]
    deleted_parameters: sequence[Parameter]


@dataclass
class FloatingPointRange(IdlStruct, typename=ros("rcl_interfaces", "FloatingPointRange")):
    from_value: float64
    to_value: float64
    step: float64


@dataclass
class IntegerRange(IdlStruct, typename=ros("rcl_interfaces", "IntegerRange")):
    from_value: int64
    to_value: int64
    step: uint64


@dataclass
class ParameterDescriptor(IdlStruct, typename=ros("rcl_interfaces", "ParameterDescriptor")):
    name: str
    type: uint8
    description: str
    additional_constraints: str
    read_only: bool
    dynamic_typing: bool
    floating_point_range: sequence[FloatingPointRange]
    integer_range: sequence[IntegerRange]


@dataclass
class SetParametersResult(IdlStruct, typename=ros("rcl_interfaces", "SetParametersResult")):
    successful: bool
    reason: str


@dataclass
class ListParametersResult(IdlStruct, typename=ros("rcl_interfaces", "ListParametersResult")):
    names: sequence[str]
    prefixes: sequence[str]


@dataclass
class KeyValue(IdlStruct, typename=ros("diagnostic_msgs", "KeyValue")):
    key: str
    value: str


@dataclass
class DiagnosticStatus(IdlStruct, typename=ros("diagnostic_msgs", "DiagnosticStatus")):
    level: uint8
    name: str
    message: str
    hardware_id: str
    values: sequence[KeyValue]


@dataclass
class DiagnosticArray(IdlStruct, typename=ros("diagnostic_msgs", "DiagnosticArray")):
    header: Header
    status: sequence[DiagnosticStatus]


def qos(reliable, depth, latched=False):
    reliability = Policy.Reliability.Reliable(duration(milliseconds=100)) if reliable else Policy.Reliability.BestEffort
    durability = Policy.Durability.TransientLocal if latched else Policy.Durability.Volatile
    return Qos(reliability, durability, Policy.History.KeepLast(depth))


def nanos(stamp):
    return stamp.sec * 10**9 + stamp.nanosec


def stamp_of(time_ns):
    return Time(time_ns // 10**9, time_ns % 10**9)


class Bag:
    """The images and the first camera_info of a bag, in memory."""

    def __init__(self, path, image_topic, info_topic):
        self.stamps, self.images, self.info = [], [], None
        with AnyReader([Path(path)], default_typestore=get_typestore(Stores.ROS2_JAZZY)) as reader:
            wanted = [c for c in reader.connections if c.topic in (image_topic, info_topic)]
            for connection, _, raw in reader.messages(connections=wanted):
                message = reader.deserialize(raw, connection.msgtype)
                if connection.topic == info_topic:
                    self.info = self.info or message
                    continue
                self.stamps.append(nanos(message.header.stamp))
                self.images.append(Image(Header(Time(0, 0), message.header.frame_id), message.height, message.width,
                                         message.encoding, message.is_bigendian, message.step, message.data.tobytes()))
        if not self.images or self.info is None:
            sys.exit(f"{path}: no images on {image_topic} or no camera_info on {info_topic}")

    def camera_info(self):
        m = self.info
        return CameraInfo(Header(Time(0, 0), self.images[0].header.frame_id), m.height, m.width, m.distortion_model,
                          list(m.d), list(m.k), list(m.r), list(m.p), 0, 0, RegionOfInterest(0, 0, 0, 0, False))
