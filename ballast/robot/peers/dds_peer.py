"""An independent DDS endpoint with its own message types: PyPI cyclonedds, ros2-pyterfaces.

    dds_peer.py hashes             one line a type: NAME RIHS01_...
    dds_peer.py say DOMAIN TEXT    publishes String TEXT on /from_peer until a reader took it
    dds_peer.py hear DOMAIN        prints the first String of /to_peer
    dds_peer.py call DOMAIN        calls the std_srvs/SetBool service /flag twice, prints "SUCCESS MESSAGE" of each
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


def call(domain):
    from cyclonedds.core import Policy, Qos
    from cyclonedds.domain import DomainParticipant
    from cyclonedds.idl import IdlStruct
    from cyclonedds.idl.types import int64, uint64
    from cyclonedds.pub import DataWriter
    from cyclonedds.sub import DataReader
    from cyclonedds.topic import Topic
    from cyclonedds.util import duration

    @dataclass
    class Request(IdlStruct, typename="std_srvs::srv::dds_::SetBool_Request_"):
        guid: uint64
        seq: int64
        data: bool

    @dataclass
    class Response(IdlStruct, typename="std_srvs::srv::dds_::SetBool_Response_"):
        guid: uint64
        seq: int64
        success: bool
        message: str

    participant = DomainParticipant(int(domain))
    qos = Qos(Policy.Reliability.Reliable(duration(seconds=10)), Policy.History.KeepLast(10),
              Policy.DataRepresentation(use_cdrv0_representation=True))
    writer = DataWriter(participant, Topic(participant, "rq/flagRequest", Request, qos=qos), qos=qos)
    reader = DataReader(participant, Topic(participant, "rr/flagReply", Response, qos=qos), qos=qos)
    end, sequence, answered = time.time() + 30, 0, 0
    while time.time() < end and answered < 2:
        sequence += 1
        writer.write(Request(guid=0x1234, seq=sequence, data=answered == 0))
        again = time.time() + 1
        while time.time() < again:
            found = [s for s in reader.take(10) if s.guid == 0x1234 and s.seq == sequence]
            if found:
                print(found[0].success, found[0].message, flush=True)
                answered += 1
                break
            time.sleep(0.01)
    sys.exit(0 if answered == 2 else 1)


def hashes():
    import ros2_pyterfaces.cyclone.all_msgs as messages

    for name in dir(messages):
        kind = getattr(messages, name)
        if isinstance(kind, type) and hasattr(kind, "hash_rihs01") and kind.__idl_typename__:
            print(kind.__idl_typename__, kind.hash_rihs01())


if __name__ == "__main__":
    config()
    {"say": say, "hear": hear, "call": call}[sys.argv[1]](*sys.argv[2:]) if sys.argv[1] != "hashes" else hashes()
