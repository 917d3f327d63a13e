"""Plays a bag to a vloc node over and over, in real time, and watches what the node makes of it and what it takes.

usage: NODE=target/release/vloc_node python soak.py BAG --model FOLDER --out FOLDER [--seconds S]

The bag has /camera/image, /camera/camera_info, /imu, /tf and /tf_static, as `vloc synth` writes them. Every message
goes out at its recorded time, with stamps of now. At the end the node must have received every reading of the IMU, and
have answered, replaced or refused every image; its memory must not have grown by more than --growth after the
warm-up (memory.csv in the folder --out has it second by second). Prints one JSON line; the exit status is 1 when
something is wrong, 75 when this machine was too busy to play in time (what is sent in bursts overflows the system's
buffers, whoever listens).
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

from cyclonedds.domain import DomainParticipant
from cyclonedds.pub import DataWriter
from cyclonedds.sub import DataReader
from cyclonedds.topic import Topic
from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_typestore

from ros_types import (CameraInfo, DiagnosticArray, Header, Image, Imu, Quaternion, RegionOfInterest, TFMessage, Time,
                       Transform, TransformStamped, Vector3, nanos, qos, stamp_of)
from services import Client


# A player that is later than this sends bursts, seconds.
LATEST = 0.25

# Why an image may get no answer; the first one may come before camera_info, which has its own way.
WITHOUT_ANSWER = ("replaced", "image_out_of_order", "image_undecodable", "image_size", "image_without_contrast",
                  "other_scene", "no_camera_info", "network_failed")


def header(message):
    return Header(Time(message.header.stamp.sec, message.header.stamp.nanosec), message.header.frame_id)


def vector(v):
    return Vector3(v.x, v.y, v.z)


def quaternion(q):
    return Quaternion(q.x, q.y, q.z, q.w)


def image(m):
    return Image(header(m), m.height, m.width, m.encoding, m.is_bigendian, m.step, m.data.tobytes())


def camera_info(m):
    return CameraInfo(header(m), m.height, m.width, m.distortion_model, list(m.d), list(m.k), list(m.r), list(m.p), 0, 0,
                      RegionOfInterest(0, 0, 0, 0, False))


def imu(m):
    return Imu(header(m), quaternion(m.orientation), list(m.orientation_covariance), vector(m.angular_velocity),
               list(m.angular_velocity_covariance), vector(m.linear_acceleration), list(m.linear_acceleration_covariance))


def transforms(m):
    return TFMessage([TransformStamped(header(t), t.child_frame_id, Transform(vector(t.transform.translation),
                                                                              quaternion(t.transform.rotation)))
                      for t in m.transforms])


TOPICS = {
    "/camera/image": (Image, image, qos(False, 5)),
    "/camera/camera_info": (CameraInfo, camera_info, qos(False, 5)),
    "/imu": (Imu, imu, qos(False, 2000)),
    "/tf": (TFMessage, transforms, qos(True, 100)),
    "/tf_static": (TFMessage, transforms, qos(True, 1, latched=True)),
}


class Recording:
    """The messages of a bag in order, [(nanoseconds since the start, topic, message)], its start and its duration."""

    def __init__(self, bag):
        with AnyReader([Path(bag)], default_typestore=get_typestore(Stores.ROS2_JAZZY)) as reader:
            wanted = [c for c in reader.connections if c.topic in TOPICS]
            self.start, self.duration = reader.start_time, reader.end_time - reader.start_time + 5_000_000
            self.messages = [(stamp - self.start, c.topic, TOPICS[c.topic][1](reader.deserialize(raw, c.msgtype)))
                             for c, stamp, raw in reader.messages(connections=wanted)]


def shift(message, by):
    """The message with its stamps moved, and how to move them back."""
    headers = [t.header for t in message.transforms] if isinstance(message, TFMessage) else [message.header]
    kept = [h.stamp for h in headers]
    for h in headers:
        h.stamp = stamp_of(nanos(h.stamp) + by)
    return lambda: [setattr(h, "stamp", stamp) for h, stamp in zip(headers, kept)]


class Usage:
    """Memory and processor time of a process, once a second."""

    def __init__(self, pid):
        self.pid, self.rss, self.start = pid, [], time.monotonic()
        self.cpu_at_start = self.cpu()

    def cpu(self):
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def sample(self):
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        self.rss.append(pages * os.sysconf("SC_PAGE_SIZE") / 2**20)

    def share(self):
        return (self.cpu() - self.cpu_at_start) / (time.monotonic() - self.start)


def play(writers, recording, seconds, each_second):
    """Sends the messages at their times, around and around; how many of each topic, and how late the latest."""
    sent, start = dict.fromkeys(TOPICS, 0), time.time_ns()
    next_second, latest = 1, 0.0
    for turn in range(1_000_000):
        begin = start + turn * recording.duration
        for offset, topic, message in recording.messages:
            due = begin + offset
            if due - start > seconds * 1e9:
                return sent, latest
            if topic == "/tf_static" and turn:
                continue
            while (left := due - time.time_ns()) > 0:
                time.sleep(left * 1e-9)
            latest = max(latest, -left * 1e-9)
            restore = shift(message, begin - recording.start)
            writers[topic].write(message)
            restore()
            sent[topic] += 1
            if time.time_ns() - start > next_second * 1e9:
                next_second += 1
                each_second()
    raise RuntimeError("the recording is too short")


def last_values(reader, seconds=10.0):
    """The values of the node's reports until nothing more arrives, the last one's."""
    counts = lambda values: [values.get(key) for key in ("image/count", "imu/count", "network_answers")]
    deadline, values, unchanged = time.monotonic() + seconds, {}, 0
    reader.take(N=10_000)
    while time.monotonic() < deadline and unchanged < 3:
        for report in reader.take(N=100):
            now = {value.key: value.value for value in report.status[0].values}
            unchanged = unchanged + 1 if counts(now) == counts(values) else 0
            values = now
        time.sleep(0.05)
    return values


def judge(sent, values, usage, arguments):
    """What is wrong, in words, and the numbers."""
    whole = lambda key: int(values.get(key, 0))
    unanswered = sum(whole(f"refused/{reason}") for reason in WITHOUT_ANSWER)
    warm = usage.rss[int(arguments.warm_up * len(usage.rss)):]
    tenth = max(3, len(warm) // 10)
    before, after = statistics.median(warm[:tenth]), statistics.median(warm[-tenth:])
    wrong = []
    if whole("imu/count") != sent["/imu"]:
        wrong.append(f"{whole('imu/count')} of {sent['/imu']} readings of the IMU arrived")
    if whole("image/count") != sent["/camera/image"]:
        wrong.append(f"{whole('image/count')} of {sent['/camera/image']} images arrived")
    if whole("network_answers") + unanswered != whole("image/count"):
        wrong.append(f"{whole('network_answers')} answers and {unanswered} refusals for {whole('image/count')} images")
    if after > (1.0 + arguments.growth) * before:
        wrong.append(f"memory grew from {before:.1f} to {after:.1f} MiB")
    numbers = {"images": sent["/camera/image"], "imu": sent["/imu"], "answered": whole("network_answers"),
               "poses": whole("poses"), "replaced": whole("refused/replaced"), "rss_mib": [round(before, 1), round(after, 1)],
               "cpu_share": round(usage.share(), 3), "inference_p99_ms": values.get("inference/p99_ms")}
    return wrong, numbers


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bag")
    parser.add_argument("--model", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--seconds", type=float, default=1800.0)
    parser.add_argument("--growth", type=float, default=0.02, help="how much the memory may grow after the warm-up")
    parser.add_argument("--warm-up", type=float, default=0.25, help="share of the time before memory is compared")
    arguments = parser.parse_args()
    recording, participant = Recording(arguments.bag), DomainParticipant(0)
    end = lambda kind, name, quality, make: make(participant, Topic(participant, f"rt{name}", kind), qos=quality)
    writers = {name: end(kind, name, quality, DataWriter) for name, (kind, _, quality) in TOPICS.items()}
    reports, client = end(DiagnosticArray, "/diagnostics", qos(True, 10), DataReader), Client(participant)
    Path(arguments.out).mkdir(parents=True, exist_ok=True)
    with open(Path(arguments.out) / "node.log", "w") as log:
        command = [os.environ["NODE"], "--ros-args", "-p", "device:=cpu", "-p", f"model:={arguments.model}",
                   "-r", "image:=/camera/image", "-r", "camera_info:=/camera/camera_info"]
        node = subprocess.Popen(command, stderr=log, stdout=log)
    try:
        client.wait_until("active")
        deadline = time.monotonic() + 20
        while not all(writer.get_matched_subscriptions() for writer in writers.values()) and time.monotonic() < deadline:
            time.sleep(0.05)
        usage = Usage(node.pid)
        sent, latest = play(writers, recording, arguments.seconds, usage.sample)
        share = usage.share()
        usage.share = lambda: share
        (Path(arguments.out) / "memory.csv").write_text("second,rss_mib\n" + "".join(
            f"{second},{rss:.2f}\n" for second, rss in enumerate(usage.rss, 1)))
        wrong, numbers = judge(sent, last_values(reports), usage, arguments)
        node.send_signal(signal.SIGINT)
        if node.wait(10) != 0:
            wrong.append(f"the node ended with {node.returncode}")
    finally:
        node.kill()
    too_busy = bool(wrong) and latest > LATEST
    print(json.dumps({"seconds": arguments.seconds, **numbers, "player_late_ms": round(1e3 * latest, 1), "wrong": wrong}))
    sys.exit(75 if too_busy else 1 if wrong else 0)


if __name__ == "__main__":
    main()
