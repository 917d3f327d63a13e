"""Packs images of a 7-Scenes sequence into a rosbag2, as a robot's camera driver would have recorded them.

usage: pack_dataset.py SEQUENCE_FOLDER BAG [--first N] [--count N] [--rate HZ] [--focal PIXELS]

Topics: /camera/image_raw (rgb8, raw), /camera/camera_info (pinhole, the principal point in the middle), /tf_static
(base_link -> camera_optical_frame: looking ahead, 0.1 m in front of and 0.3 m above base_link) and /tf (odom ->
base_link, standing still: for the node's map -> odom; the camera moves, so replay it with -p use_odometry:=false). Poses of
the dataset are not in the bag.
"""

import argparse
import math
from pathlib import Path

import numpy
from PIL import Image
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

TYPES = get_typestore(Stores.ROS2_JAZZY)
FRAME = "camera_optical_frame"


def message(name, **fields):
    return TYPES.types[name](**fields)


def header(time_ns, frame_id):
    stamp = message("builtin_interfaces/msg/Time", sec=time_ns // 10**9, nanosec=time_ns % 10**9)
    return message("std_msgs/msg/Header", stamp=stamp, frame_id=frame_id)


def image(time_ns, pixels):
    height, width, _ = pixels.shape
    return message("sensor_msgs/msg/Image", header=header(time_ns, FRAME), height=height, width=width, encoding="rgb8",
                   is_bigendian=0, step=3 * width, data=pixels.reshape(-1))


def camera_info(time_ns, width, height, focal):
    k = numpy.array([focal, 0, (width - 1) / 2, 0, focal, (height - 1) / 2, 0, 0, 1], dtype=numpy.float64)
    p = numpy.insert(k.reshape(3, 3), 3, 0.0, axis=1).reshape(-1)
    roi = message("sensor_msgs/msg/RegionOfInterest", x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
    return message("sensor_msgs/msg/CameraInfo", header=header(time_ns, FRAME), height=height, width=width,
                   distortion_model="plumb_bob", d=numpy.zeros(5), k=k, r=numpy.eye(3).reshape(-1), p=p, binning_x=0,
                   binning_y=0, roi=roi)


def transform(time_ns, parent, child, xyz, xyzw):
    vector = message("geometry_msgs/msg/Vector3", **dict(zip("xyz", xyz)))
    rotation = message("geometry_msgs/msg/Quaternion", **dict(zip("xyzw", xyzw)))
    pose = message("geometry_msgs/msg/Transform", translation=vector, rotation=rotation)
    stamped = message("geometry_msgs/msg/TransformStamped", header=header(time_ns, parent), child_frame_id=child,
                      transform=pose)
    return message("tf2_msgs/msg/TFMessage", transforms=[stamped])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sequence", type=Path)
    parser.add_argument("bag", type=Path)
    parser.add_argument("--first", type=int, default=0, help="number of the first image")
    parser.add_argument("--count", type=int, default=300, help="how many images at most")
    parser.add_argument("--rate", type=float, default=30.0, help="images per second")
    parser.add_argument("--focal", type=float, default=525.0, help="focal length in pixels")
    arguments = parser.parse_args()
    files = sorted(arguments.sequence.glob("frame-*.color.*"))[arguments.first:][:arguments.count]
    if not files:
        raise SystemExit(f"{arguments.sequence}: no frame-*.color.* after number {arguments.first}")
    start, period, half = 1_700_000_000 * 10**9, round(1e9 / arguments.rate), math.sqrt(0.5)
    with Writer(arguments.bag, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connections = {}

        def write(topic, time_ns, content):
            kind = content.__msgtype__
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=TYPES)
            writer.write(connections[topic], time_ns, TYPES.serialize_cdr(content, kind))

        write("/tf_static", start, transform(start, "base_link", FRAME, (0.1, 0.0, 0.3), (-half, 0.0, 0.0, half)))
        for number, file in enumerate(files):
            now = start + number * period
            pixels = numpy.asarray(Image.open(file).convert("RGB"))
            write("/tf", now, transform(now, "odom", "base_link", (0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0)))
            write("/camera/camera_info", now, camera_info(now, pixels.shape[1], pixels.shape[0], arguments.focal))
            write("/camera/image_raw", now, image(now, pixels))
    print(f"{arguments.bag}: {len(files)} images")


main()
