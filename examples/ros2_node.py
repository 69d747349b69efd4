"""A ROS 2 node that publishes the sound events of `saiseld live`.

    saiseld live device --port 8360
    python examples/ros2_node.py --ros-args -p url:=ws://127.0.0.1:8360/events -p frame_id:=mic

Topics, whenever an event begins, moves or ends:

- ``~/events`` (``std_msgs/String``): the change as JSON, as of `saiseld live --events jsonl`;
- ``~/detections`` (``vision_msgs/Detection3DArray``): the events that are going on;
- ``~/markers`` (``visualization_msgs/MarkerArray``): an arrow and a name for each, for RViz.

Directions need no conversion: x to the front, y to the left, z up, as REP 103 has it. Without a
known distance a sound is placed one metre away. If the server goes, every event ends, and the node
connects again. It needs ``rclpy``, the messages named above and ``pip install websockets``.
"""

from __future__ import annotations

import json
import math
import threading
import time
from typing import Any

import rclpy
from geometry_msgs.msg import Point
from rclpy.node import Node
from std_msgs.msg import String
from vision_msgs.msg import Detection3D, Detection3DArray, ObjectHypothesisWithPose
from visualization_msgs.msg import Marker, MarkerArray
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

AGAIN_S = 1.0
UNKNOWN_DISTANCE_M = 1.0


def position_of(event: dict[str, Any]) -> tuple[float, float, float]:
    """Return x, y, z in metres of an event's sound."""
    azimuth, elevation = math.radians(event["azimuth"]), math.radians(event["elevation"])
    away = event["distance"] or UNKNOWN_DISTANCE_M
    level = away * math.cos(elevation)
    return level * math.cos(azimuth), level * math.sin(azimuth), away * math.sin(elevation)


class SoundEvents(Node):
    """Publishes what comes from the WebSocket ``/events``."""

    def __init__(self) -> None:
        super().__init__("sound_events")
        self.declare_parameter("url", "ws://127.0.0.1:8360/events")
        self.declare_parameter("frame_id", "microphone_array")
        self._frame_id = self.get_parameter("frame_id").value
        self._events = self.create_publisher(String, "~/events", 100)
        self._detections = self.create_publisher(Detection3DArray, "~/detections", 10)
        self._markers = self.create_publisher(MarkerArray, "~/markers", 10)
        self._going_on: dict[int, dict[str, Any]] = {}

    def listen(self) -> None:
        """Take changes until ROS is shut down; connect again where the connection is lost."""
        url = self.get_parameter("url").value
        while rclpy.ok():
            try:
                with connect(url) as socket:
                    self.get_logger().info(f"connected to {url}")
                    for line in socket:
                        self.take(json.loads(line))
            except (OSError, WebSocketException) as error:
                self.get_logger().warning(f"{url}: {error}")
            for event in list(self._going_on.values()):
                self.take(event | {"type": "end"})
            time.sleep(AGAIN_S)

    def take(self, change: dict[str, Any]) -> None:
        """Publish a change, and all that is going on after it."""
        if change["type"] == "end":
            self._going_on.pop(change["event"], None)
        else:
            self._going_on[change["event"]] = change
        self._events.publish(String(data=json.dumps(change)))
        stamp = self.get_clock().now().to_msg()
        detections, markers = Detection3DArray(), MarkerArray()
        detections.header.stamp, detections.header.frame_id = stamp, self._frame_id
        for event in self._going_on.values():
            detections.detections.append(self._detection(event, stamp))
            markers.markers += self._arrow_and_name(event, stamp)
        if change["type"] == "end":
            markers.markers += self._arrow_and_name(change, stamp, Marker.DELETE)
        self._detections.publish(detections)
        self._markers.publish(markers)

    def _detection(self, event: dict[str, Any], stamp: Any) -> Detection3D:
        hypothesis = ObjectHypothesisWithPose()
        hypothesis.hypothesis.class_id = event["class_name"]
        hypothesis.hypothesis.score = event["score"]
        place = hypothesis.pose.pose.position
        place.x, place.y, place.z = position_of(event)
        detection = Detection3D(id=str(event["event"]), results=[hypothesis])
        detection.header.stamp, detection.header.frame_id = stamp, self._frame_id
        centre = detection.bbox.center.position
        centre.x, centre.y, centre.z = place.x, place.y, place.z
        return detection

    def _arrow_and_name(
        self, event: dict[str, Any], stamp: Any, action: int = Marker.ADD
    ) -> list[Marker]:
        x, y, z = position_of(event)
        arrow = Marker(ns="arrows", type=Marker.ARROW, id=event["event"], action=action)
        arrow.points = [Point(), Point(x=x, y=y, z=z)]
        arrow.scale.x, arrow.scale.y, arrow.scale.z = 0.03, 0.08, 0.1
        name = Marker(ns="names", type=Marker.TEXT_VIEW_FACING, id=event["event"], action=action)
        name.text = event["class_name"]
        name.pose.position.x, name.pose.position.y, name.pose.position.z = x, y, z
        name.scale.z = 0.15
        for marker in (arrow, name):
            marker.header.stamp, marker.header.frame_id = stamp, self._frame_id
            marker.color.r, marker.color.g, marker.color.b, marker.color.a = 1.0, 0.7, 0.1, 1.0
        return [arrow, name]


def main() -> None:
    """Run the node."""
    rclpy.init()
    node = SoundEvents()
    threading.Thread(target=node.listen, daemon=True).start()
    try:
        rclpy.spin(node)
    except KeyboardInterrupt:
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
