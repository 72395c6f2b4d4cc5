"""An independent DDS endpoint with its own message types: PyPI cyclonedds, ros2-pyterfaces.

    dds_peer.py hashes             one line a type: NAME RIHS01_...
    dds_peer.py say DOMAIN TEXT    publishes String TEXT on /from_peer until a reader took it
    dds_peer.py hear DOMAIN        prints the first String of /to_peer
"""
import sys
import time
from dataclasses import dataclass


def config():
    import os

    os.environ["CYCLONEDDS_URI"] = (
        '<General><Interfaces><NetworkInterface name="lo" multicast="false"/></Interfaces>'
        "<AllowMulticast>false</AllowMulticast></General><Discovery><ParticipantIndex>auto</ParticipantIndex>"
        '<MaxAutoParticipantIndex>100</MaxAutoParticipantIndex><Peers><Peer Address="localhost"/></Peers></Discovery>')


def endpoints(domain, name):
    from cyclonedds.core import Policy, Qos
    from cyclonedds.domain import DomainParticipant
    from cyclonedds.idl import IdlStruct
    from cyclonedds.topic import Topic
    from cyclonedds.util import duration

    @dataclass
    class String(IdlStruct, typename="std_msgs::msg::dds_::String_"):
        data: str

    participant = DomainParticipant(int(domain))
    qos = Qos(Policy.Reliability.Reliable(duration(seconds=10)), Policy.History.KeepLast(10),
              Policy.DataRepresentation(use_cdrv0_representation=True))
    return participant, Topic(participant, name, String, qos=qos), String, qos


def say(domain, text):
    from cyclonedds.pub import DataWriter

    participant, topic, String, qos = endpoints(domain, "rt/from_peer")
    writer = DataWriter(participant, topic, qos=qos)
    for _ in range(200):
        writer.write(String(data=text))
        time.sleep(0.05)


def hear(domain):
    from cyclonedds.sub import DataReader

    participant, topic, String, qos = endpoints(domain, "rt/to_peer")
    reader = DataReader(participant, topic, qos=qos)
    end = time.time() + 20
    while time.time() < end:
        for sample in reader.take(10):
            print(sample.data, flush=True)
            return
        time.sleep(0.01)
    sys.exit(1)


def hashes():
    import ros2_pyterfaces.cyclone.all_msgs as messages

    for name in dir(messages):
        kind = getattr(messages, name)
        if isinstance(kind, type) and hasattr(kind, "hash_rihs01") and kind.__idl_typename__:
            print(kind.__idl_typename__, kind.hash_rihs01())


if __name__ == "__main__":
    config()
    {"say": say, "hear": hear}[sys.argv[1]](*sys.argv[2:]) if sys.argv[1] != "hashes" else hashes()
