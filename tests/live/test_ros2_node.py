"""The ROS 2 example against stand-ins for its messages, which know their fields and no others."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from tests.live.test_events import frame
from tests.waiting import wait_until

from saiseld.live.page import serve

EXAMPLE = Path(__file__).parents[2] / "examples" / "ros2_node.py"


def message(name: str, **fields):
    """Return a class of messages with these fields: values, or what makes one."""
    made = [
        (key, object, field(default_factory=made if callable(made) else lambda value=made: value))
        for key, made in fields.items()
    ]
    namespace = {"__annotations__": {key: kind for key, kind, _ in made}}
    namespace |= {key: default for key, _, default in made}
    return dataclass(slots=True, kw_only=True)(type(name, (), namespace))


Point = message("Point", x=0.0, y=0.0, z=0.0)
Pose = message("Pose", position=Point)
PoseWithCovariance = message("PoseWithCovariance", pose=Pose)
Header = message("Header", stamp=None, frame_id="")
String = message("String", data="")
Hypothesis = message("ObjectHypothesis", class_id="", score=0.0)
Result = message("ObjectHypothesisWithPose", hypothesis=Hypothesis, pose=PoseWithCovariance)
Box = message("BoundingBox3D", center=Pose, size=Point)
Detection3D = message("Detection3D", header=Header, results=list, bbox=Box, id="")
Detection3DArray = message("Detection3DArray", header=Header, detections=list)
Colour = message("ColorRGBA", r=0.0, g=0.0, b=0.0, a=0.0)
Marker = message(
    "Marker",
    header=Header,
    ns="",
    id=0,
    type=0,
    action=0,
    pose=Pose,
    scale=Point,
    color=Colour,
    points=list,
    text="",
)
Marker.ADD, Marker.DELETE, Marker.ARROW, Marker.TEXT_VIEW_FACING = 0, 2, 0, 9
MarkerArray = message("MarkerArray", markers=list)


class Node:
    """A node that keeps what it publishes."""

    def __init__(self, name: str) -> None:
        self.parameters: dict[str, object] = {}
        self.published: dict[str, list] = {}

    def declare_parameter(self, name: str, value: object) -> None:
        self.parameters[name] = value

    def get_parameter(self, name: str) -> SimpleNamespace:
        return SimpleNamespace(value=self.parameters[name])

    def create_publisher(self, kind: type, topic: str, depth: int) -> SimpleNamespace:
        kept = self.published.setdefault(topic, [])

        def publish(one) -> None:
            assert isinstance(one, kind)
            kept.append(one)

        return SimpleNamespace(publish=publish)

    def get_clock(self) -> SimpleNamespace:
        return SimpleNamespace(now=lambda: SimpleNamespace(to_msg=lambda: "now"))

    def get_logger(self) -> SimpleNamespace:
        return SimpleNamespace(info=lambda _: None, warning=lambda _: None)


@pytest.fixture
def example(monkeypatch):
    parts = {
        "rclpy": {"ok": lambda: False},
        "rclpy.node": {"Node": Node},
        "geometry_msgs.msg": {"Point": Point},
        "std_msgs.msg": {"String": String},
        "vision_msgs.msg": {
            "Detection3D": Detection3D,
            "Detection3DArray": Detection3DArray,
            "ObjectHypothesisWithPose": Result,
        },
        "visualization_msgs.msg": {"Marker": Marker, "MarkerArray": MarkerArray},
    }
    for name, content in parts.items():
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
        if name.endswith(".msg"):
            monkeypatch.setitem(sys.modules, name.removesuffix(".msg"), ModuleType(name))
    spec = importlib.util.spec_from_file_location("ros2_node", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_sound_on_the_left_is_on_positive_y(example) -> None:
    x, y, z = example.position_of({"azimuth": 90, "elevation": 0, "distance": 2.0})
    assert (x, y, z) == pytest.approx((0, 2, 0))
    above = example.position_of({"azimuth": 0, "elevation": 90, "distance": None})
    assert above == pytest.approx((0, 0, 1))


def test_what_the_page_tells_is_published_and_ends_with_the_server(example, monkeypatch) -> None:
    node = example.SoundEvents()
    left = iter([True])
    monkeypatch.setattr(example.rclpy, "ok", lambda: next(left, False), raising=False)
    monkeypatch.setattr(example, "AGAIN_S", 0.0)
    import threading

    with serve(port=0) as page:
        node.parameters["url"] = page.url.replace("http", "ws") + "events"
        listening = threading.Thread(target=node.listen)
        listening.start()
        wait_until(lambda: page.clients == 1)
        page.show(frame(0, (1, 90), (2, 0)))
        wait_until(lambda: len(node.published["~/events"]) == 2)
        detections = node.published["~/detections"][-1].detections
        place = detections[0].results[0].pose.pose.position
        assert [one.id for one in detections] == ["1", "2"]
        assert (place.x, place.y) == pytest.approx((0, 1.5))
    listening.join(20)
    types = [json.loads(one.data)["type"] for one in node.published["~/events"]]
    assert types == ["begin", "begin", "end", "end"]
    assert not node.published["~/detections"][-1].detections
    assert {one.action for one in node.published["~/markers"][-1].markers} == {Marker.DELETE}
