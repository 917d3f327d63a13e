"""Reads a bag with `rosbags` and prints what is in it as JSON: an independent check of what vloc writes and reads.

usage: read_bag.py BAG
Definitions that the bag carries are compared with those of ROS 2 Jazzy by their RIHS01 hash.
"""

import hashlib
import json
import sys
from pathlib import Path
from statistics import median

from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

JAZZY = get_typestore(Stores.ROS2_JAZZY)


def header_stamp(message):
    header = getattr(message, "header", None)
    return None if header is None else header.stamp.sec * 10**9 + header.stamp.nanosec


def stamps_by_child(message):
    """(child frame or "", stamp) of each header in the message."""
    if hasattr(message, "transforms"):
        return [(item.child_frame_id, header_stamp(item)) for item in message.transforms]
    stamp = header_stamp(message)
    return [] if stamp is None else [("", stamp)]


def plain(value):
    """A message as JSON: byte arrays as their sha256, other arrays as lists."""
    if hasattr(value, "__msgtype__"):
        fields = value.__dataclass_fields__
        return {name: plain(getattr(value, name)) for name in fields if name != "__msgtype__"}
    if getattr(value, "dtype", None) == "uint8" and value.ndim:
        return hashlib.sha256(value.tobytes()).hexdigest()
    if hasattr(value, "tolist"):
        return value.tolist()
    return [plain(item) for item in value] if isinstance(value, list) else value


def definition_is_jazzys(connection):
    if not connection.msgdef.data:
        return None
    store = get_typestore(Stores.EMPTY)
    store.register(get_types_from_msg(connection.msgdef.data, connection.msgtype))
    return store.hash_rihs01(connection.msgtype) == JAZZY.hash_rihs01(connection.msgtype)


def main(path):
    topics = {}
    with AnyReader([Path(path)], default_typestore=JAZZY) as reader:
        for connection in reader.connections:
            topics[connection.topic] = {
                "type": connection.msgtype,
                "count": 0,
                "definition_is_jazzys": definition_is_jazzys(connection),
                "durability": [qos.durability.name for qos in connection.ext.offered_qos_profiles],
                "log_stamps": [],
                "header_stamps": [],
                "data_sha256": hashlib.sha256(),
                "backwards": 0,
                "duplicates": 0,
                "offsets": [],
                "last": {},
            }
        for connection, log_stamp, raw in reader.messages():
            topic = topics[connection.topic]
            message = reader.deserialize(raw, connection.msgtype)
            topic["count"] += 1
            topic["log_stamps"].append(log_stamp)
            topic["header_stamps"].append(header_stamp(message))
            topic.setdefault("first", plain(message))
            for child, stamp in stamps_by_child(message):
                last = topic["last"].get(child, stamp - 1)
                topic["backwards"] += stamp < last
                topic["duplicates"] += stamp == last
                topic["last"][child] = stamp
                topic["offsets"].append(log_stamp - stamp)
            if hasattr(message, "data") and hasattr(message.data, "tobytes"):
                topic["data_sha256"].update(message.data.tobytes())
        summary = {"start": reader.start_time, "end": reader.end_time, "count": reader.message_count, "topics": topics}
    for topic in topics.values():
        topic["data_sha256"] = topic["data_sha256"].hexdigest()
        stamps, headers = topic.pop("log_stamps"), topic.pop("header_stamps")
        offsets = topic.pop("offsets")
        topic["median_offset"] = median(offsets) if offsets else None
        del topic["last"]
        gaps = [b - a for a, b in zip(stamps, stamps[1:])]
        topic["first_log"], topic["last_log"] = (stamps[0], stamps[-1]) if stamps else (None, None)
        topic["first_header"], topic["last_header"] = (headers[0], headers[-1]) if headers else (None, None)
        topic["median_gap"], topic["largest_gap"] = (median(gaps), max(gaps)) if gaps else (None, None)
    json.dump(summary, sys.stdout)


main(sys.argv[1])
