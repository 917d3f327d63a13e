"""Plays the images of a bag to a vloc node over DDS, as a ROS 2 peer would, and checks its answers.

usage: play_images.py BAG --image TOPIC --camera-info TOPIC --out FOLDER [--seconds S] [--rate HZ] [--tolerance S]
                      [--fused SHARE]

Images go out best effort with the time of sending as their stamp, in a circle until the seconds are over; camera_info
goes with each, odom -> base_link before each, and base_link -> camera on /tf_static. Every image must be answered on
`absolute_pose` with its own stamp, before the next but one is sent. These poses of the first round are written to
FOLDER/peer.tum under the bag's stamps, for comparison with those of `vloc replay`; later rounds must repeat them.

Of a node without its estimator, `pose` must say the same, and map -> odom on /tf with it. Of one with it (--fused),
this share of the images must be answered on `pose` with the image's stamp and a covariance that is one, no image
twice, and `odometry` must come.
The result is one JSON line; the exit status is 1 when an answer is missing, late or wrong.
"""

import argparse
import json
import math
import sys
import time
from pathlib import Path

from cyclonedds.core import InstanceState, ReadCondition, SampleState, ViewState, WaitSet
from cyclonedds.domain import DomainParticipant
from cyclonedds.pub import DataWriter
from cyclonedds.sub import DataReader
from cyclonedds.topic import Topic
from cyclonedds.util import duration

from ros_types import (Bag, CameraInfo, Header, Image, Odometry, PoseWithCovarianceStamped, Quaternion, TFMessage, Time,
                       Transform, TransformStamped, Vector3, nanos, qos, stamp_of)
from services import Client


class Peer:
    """The writers and readers, what was sent and what was answered, by stamp."""

    def __init__(self):
        self.participant = DomainParticipant(0)
        sensor, tf = qos(False, 5), qos(True, 100)
        self.image = self.writer("rt/image", Image, sensor)
        self.info = self.writer("rt/camera_info", CameraInfo, sensor)
        self.tf = self.writer("rt/tf", TFMessage, tf)
        self.tf_static = self.writer("rt/tf_static", TFMessage, qos(True, 1, latched=True))
        self.pose = self.reader("rt/pose", PoseWithCovarianceStamped, qos(True, 10, latched=True))
        self.absolute_pose = self.reader("rt/absolute_pose", PoseWithCovarianceStamped, qos(True, 10))
        self.odometry = self.reader("rt/odometry", Odometry, sensor)
        self.transforms = self.reader("rt/tf", TFMessage, tf)
        self.client = Client(self.participant)
        self.waitset = WaitSet(self.participant)
        for reader in (self.pose, self.absolute_pose, self.odometry, self.transforms):
            self.waitset.attach(ReadCondition(reader, SampleState.Any | ViewState.Any | InstanceState.Any))
        self.poses, self.absolute_poses, self.ahead, self.map_from_odom = {}, {}, [], []

    def writer(self, name, kind, quality):
        return DataWriter(self.participant, Topic(self.participant, name, kind), qos=quality)

    def reader(self, name, kind, quality):
        return DataReader(self.participant, Topic(self.participant, name, kind), qos=quality)

    def wait_for_node(self, seconds=20.0):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            matched = [w.get_matched_subscriptions() for w in (self.image, self.info, self.tf_static)]
            # our own /tf reader matches our own /tf writer: the node is the second
            heard = [r.get_matched_publications() for r in (self.pose, self.absolute_pose)]
            if all(matched) and all(heard) and len(self.tf.get_matched_subscriptions()) > 1:
                return self.client.wait_until("active")
            time.sleep(0.05)
        sys.exit("the node was not discovered")

    def collect(self, until_ns):
        """Takes answers until the time has come."""
        while (left := until_ns - time.time_ns()) > 0:
            self.waitset.wait(duration(nanoseconds=left))
            now = time.time_ns()
            for reader, answers in ((self.pose, self.poses), (self.absolute_pose, self.absolute_poses)):
                for message in reader.take(N=100):
                    answers.setdefault(nanos(message.header.stamp), []).append((now, message))
            self.ahead += self.odometry.take(N=100)
            for message in self.transforms.take(N=100):
                for t in message.transforms:
                    if t.header.frame_id == "map" and t.child_frame_id == "odom":
                        self.map_from_odom.append((now, nanos(t.header.stamp), transform_numbers(t)))


def base_from_camera(frame_id):
    half = math.sqrt(0.5)
    mounting = Transform(Vector3(0.1, 0.0, 0.3), Quaternion(-half, 0.0, 0.0, half))
    return TFMessage([TransformStamped(Header(Time(0, 0), "base_link"), frame_id, mounting)])


def odom_from_base(time_ns):
    pose = Transform(Vector3(0.0, 0.0, 0.0), Quaternion(0.0, 0.0, 0.0, 1.0))
    return TFMessage([TransformStamped(Header(stamp_of(time_ns), "odom"), "base_link", pose)])


def play(peer, bag, seconds, rate):
    """Sends images at the rate; returns [(stamp, index, seconds that sending took)]."""
    info, period = bag.camera_info(), int(1e9 / rate)
    peer.tf_static.write(base_from_camera(info.header.frame_id))
    for _ in range(5):
        peer.info.write(info)
        peer.collect(time.time_ns() + 10**8)
    sent, start = [], time.time_ns() + period
    for k in range(int(seconds * rate)):
        peer.collect(start + k * period)
        image = bag.images[k % len(bag.images)]
        stamp = time.time_ns()
        image.header.stamp = info.header.stamp = stamp_of(stamp)
        peer.tf.write(odom_from_base(stamp))
        peer.info.write(info)
        peer.image.write(image)
        sent.append((stamp, k % len(bag.images), (time.time_ns() - stamp) * 1e-9))
    peer.collect(time.time_ns() + 10**9)
    return sent


def numbers(message):
    p, q = message.pose.pose.position, message.pose.pose.orientation
    return [p.x, p.y, p.z, q.x, q.y, q.z, q.w]


def transform_numbers(stamped):
    p, q = stamped.transform.translation, stamped.transform.rotation
    return [p.x, p.y, p.z, q.x, q.y, q.z, q.w]


def near(a, b, limit):
    return max(abs(x - y) for x, y in zip(a, b)) <= limit


def is_covariance(entries):
    """Symmetric, and its Cholesky factorization exists."""
    lower = [[0.0] * 6 for _ in range(6)]
    for i in range(6):
        for j in range(i + 1):
            if abs(entries[6 * i + j] - entries[6 * j + i]) > 1e-12:
                return False
            rest = entries[6 * i + j] - sum(lower[i][k] * lower[j][k] for k in range(j))
            if i == j and not rest > 0:
                return False
            lower[i][j] = math.sqrt(rest) if i == j else rest / lower[j][j]
    return True


def judge_network(peer, bag, sent, out):
    """What the network alone says: one answer per image, in time, the same in every round."""
    first_round, failures, latencies = {}, [], []
    for k, (stamp, index, _) in enumerate(sent):
        answers = peer.absolute_poses.get(stamp, [])
        if len(answers) != 1:
            failures.append(f"image {k}: {len(answers)} answers")
            continue
        arrived, message = answers[0]
        latencies.append((arrived - stamp) * 1e-6)
        if k + 2 < len(sent) and arrived >= sent[k + 2][0]:
            failures.append(f"image {k}: answered after {latencies[-1]:.1f} ms, later than the next but one was sent")
        if message.header.frame_id != "map" or not is_covariance(message.pose.covariance):
            failures.append(f"image {k}: frame {message.header.frame_id!r}, covariance {message.pose.covariance}")
        known = first_round.setdefault(index, numbers(message))
        if not near(known, numbers(message), 1e-4):
            failures.append(f"image {k}: another pose than in the first round")
    with open(Path(out) / "peer.tum", "w") as file:
        for index, pose in sorted(first_round.items()):
            seconds, rest = divmod(bag.stamps[index], 10**9)
            file.write(f"{seconds}.{rest:09} " + " ".join(f"{value:.12g}" for value in pose) + "\n")
    return failures, sorted(latencies)


def judge_pose(peer, sent, tolerance):
    """Without the estimator: `pose` is what the network says, and map -> odom follows from it."""
    failures, latencies = [], []
    for k, (stamp, _, _) in enumerate(sent):
        answers, alone = peer.poses.get(stamp, []), peer.absolute_poses.get(stamp, [])
        if len(answers) != 1 or len(alone) != 1 or not near(numbers(answers[0][1]), numbers(alone[0][1]), 0.0):
            failures.append(f"image {k}: {len(answers)} poses, or not what the network says")
            continue
        arrived, message = answers[0]
        latencies.append((arrived - stamp) * 1e-6)
        # The odometry that is played stands still at its origin: map -> odom equals the pose.
        next_but_one = sent[k + 2][0] if k + 2 < len(sent) else math.inf
        if not any(when < next_but_one and dated >= stamp + tolerance and near(transform, numbers(message), 1e-9)
                   for when, dated, transform in peer.map_from_odom):
            failures.append(f"image {k}: no map -> odom for it")
    return failures, sorted(latencies)


def judge_fused(peer, sent, share):
    """With the estimator: poses once fixes agree, each with an image's stamp and a covariance that is one."""
    failures, latencies = [], []
    for stamp, answers in peer.poses.items():
        arrived, message = answers[0]
        latencies.append((arrived - stamp) * 1e-6)
        if len(answers) != 1 or message.header.frame_id != "map" or not is_covariance(message.pose.covariance):
            failures.append(f"pose of {stamp}: {len(answers)} times, covariance {message.pose.covariance}")
    if len(latencies) < share * len(sent):
        failures.append(f"{len(latencies)} poses for {len(sent)} images")
    if len(peer.ahead) < 0.5 * len(latencies) or not peer.map_from_odom:
        failures.append(f"{len(peer.ahead)} messages of odometry, {len(peer.map_from_odom)} of map -> odom")
    for message in peer.ahead:
        frames = (message.header.frame_id, message.child_frame_id)
        if frames != ("map", "base_link") or not is_covariance(message.pose.covariance):
            failures.append(f"odometry: frames {frames}, covariance {message.pose.covariance}")
            break
    return failures, sorted(latencies)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bag")
    parser.add_argument("--image", required=True)
    parser.add_argument("--camera-info", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--rate", type=float, default=30.0)
    parser.add_argument("--tolerance", type=float, default=0.2, help="the node's transform_tolerance, seconds")
    parser.add_argument("--fused", type=float, metavar="SHARE", help="the node has its estimator on")
    arguments = parser.parse_args()
    bag, peer = Bag(arguments.bag, arguments.image, arguments.camera_info), Peer()
    peer.wait_for_node()
    sent = play(peer, bag, arguments.seconds, arguments.rate)
    failures, network = judge_network(peer, bag, sent, arguments.out)
    if arguments.fused is None:
        more, latencies = judge_pose(peer, sent, round(arguments.tolerance * 1e9))
    else:
        more, latencies = judge_fused(peer, sent, arguments.fused)
    failures += more
    unasked = (set(peer.poses) | set(peer.absolute_poses)) - {stamp for stamp, _, _ in sent}
    if unasked:
        failures.append(f"{len(unasked)} poses with stamps of no image")
    at = lambda values, share: values[min(len(values) - 1, math.ceil(share * len(values)) - 1)] if values else None
    spread = lambda values: {"p50": at(values, 0.5), "p99": at(values, 0.99), "max": at(values, 1.0)}
    print(json.dumps({
        "images": len(sent), "size": [bag.images[0].width, bag.images[0].height], "answered": len(network),
        "poses": len(latencies), "odometry": len(peer.ahead),
        "failures": len(failures), "first_failures": failures[:10],
        "stamp_to_answer_ms": spread(network), "stamp_to_pose_ms": spread(latencies),
        "sending_ms": spread(sorted(seconds * 1e3 for _, _, seconds in sent)),
    }))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
