"""An independent reader and writer of bags: PyPI rosbags, mcap and mcap-ros2-support.

    bag_peer.py read rosbags|mcap PATH     one line a message: TOPIC TIME TYPE FIELD (frame_id or data)
    bag_peer.py write PATH sqlite3|mcap VERSION   a bag with 20 strings on /text and 20 scans on /scan
"""
import sys
from pathlib import Path


def read_rosbags(path):
    from rosbags.highlevel import AnyReader
    from rosbags.typesys import Stores, get_typestore

    with AnyReader([Path(path)], default_typestore=get_typestore(Stores.ROS2_HUMBLE)) as reader:
        for connection, time, raw in reader.messages():
            message = reader.deserialize(raw, connection.msgtype)
            shown = message.data if connection.msgtype.endswith("String") else (
                f"{message.header.frame_id}:{len(message.ranges)}")
            print(connection.topic, time, connection.msgtype, shown)


def read_mcap(path):
    from mcap.reader import make_reader
    from mcap_ros2.decoder import DecoderFactory

    with open(path, "rb") as file:
        reader = make_reader(file, validate_crcs=True, decoder_factories=[DecoderFactory()])
        for schema, channel, message, decoded in reader.iter_decoded_messages():
            shown = decoded.data if schema.name.endswith("String") else (
                f"{decoded.header.frame_id}:{len(decoded.ranges)}")
            print(channel.topic, message.log_time, schema.name, shown)


def write(path, storage, version):
    import numpy
    from rosbags.rosbag2 import StoragePlugin, Writer
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS2_HUMBLE)
    string, scan = store.types["std_msgs/msg/String"], store.types["sensor_msgs/msg/LaserScan"]
    header, stamp = store.types["std_msgs/msg/Header"], store.types["builtin_interfaces/msg/Time"]
    plugin = StoragePlugin.MCAP if storage == "mcap" else StoragePlugin.SQLITE3
    with Writer(Path(path), version=int(version), storage_plugin=plugin) as writer:
        text = writer.add_connection("/text", string.__msgtype__, typestore=store)
        laser = writer.add_connection("/scan", scan.__msgtype__, typestore=store)
        for i in range(20):
            writer.write(text, 1000 + 10 * i, store.serialize_cdr(string(f"number {i}"), string.__msgtype__))
            message = scan(header(stamp(1, i), "laser"), 0.0, 1.0, 0.1, 0.0, 0.0, 0.1, 30.0,
                           numpy.full(i, 1.5, dtype=numpy.float32), numpy.zeros(0, dtype=numpy.float32))
            writer.write(laser, 1005 + 10 * i, store.serialize_cdr(message, scan.__msgtype__))


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(*sys.argv[2:5])
    elif sys.argv[2] == "rosbags":
        read_rosbags(sys.argv[3])
    else:
        read_mcap(sys.argv[3])
