"""Is this video what it should be? A panorama, of the length of its sound, with every frame."""

from __future__ import annotations

from pathlib import Path

from saiseld.checks.findings import Finding, unreadable
from saiseld.data.recordings import Recording
from saiseld.data.video import announced_frames, open_video, video_pose, video_size
from saiseld.runtime.errors import VideoError

_APART_FRAMES = 2
"""A video that ends so much early or late is how cameras stop, not a fault."""


def check_video(video: str | Path, audio_frames: int) -> list[Finding]:
    """Return what is wrong with a video, read to its end.

    Parameters
    ----------
    video
        A video, or a folder of frames.
    audio_frames
        10 FPS frames of its sound.
    """
    video = Path(video)
    try:
        pictures = [picture is not None for picture in open_video(video)]
    except VideoError as error:
        return [unreadable(video, error)]
    findings = [*_size(video), *_pose(video), *_length(video, len(pictures), audio_frames)]
    if not all(pictures):
        what = f"{pictures.count(False)} of {len(pictures)} frames are missing"
        if video.is_dir():
            what += " in the folder"
        findings.append(Finding("warning", video, what, "They are imaged by sound alone"))
    return findings


def glance_at_video(video: Path, recording: Recording) -> list[Finding]:
    """Return what a video's first picture and its length show, without decoding the rest.

    Raises
    ------
    VideoError
        If it is of a projection that cannot be used, or holds two pictures for one frame.
    """
    next(iter(open_video(video)), None)
    frames = announced_frames(video)
    findings = [*_size(video), *_pose(video)]
    if frames is not None:
        findings += _length(video, frames, recording.frames)
    return findings


def _size(video: Path) -> list[Finding]:
    size = video_size(video)
    if size is None or size[0] == 2 * size[1]:
        return []
    what = f"{size[0]} x {size[1]} pixels, but a 360 degree panorama is twice as wide as high"
    return [Finding("warning", video, what, "Give the equirectangular video of the camera's app")]


def _pose(video: Path) -> list[Finding]:
    yaw, pitch, roll = video_pose(video)
    if not any((yaw, pitch, roll)):
        return []
    what = (
        f"players turn it by yaw {yaw:g}, pitch {pitch:g} and roll {roll:g} degrees, as its "
        "spherical metadata says; here it is taken as it is stored"
    )
    advice = "Write the panorama turned, if its stored middle is not the array's front"
    return [Finding("warning", video, what, advice)]


def _length(video: Path, frames: int, audio_frames: int) -> list[Finding]:
    if abs(frames - audio_frames) <= _APART_FRAMES:
        return []
    what = f"{frames} video frames for {audio_frames} frames of sound"
    advice = (
        "Frames without a picture are imaged by sound alone; check that both start at the same time"
    )
    if video.is_dir():
        advice = (
            "A folder holds 10 frames a second, counted from 0 (ffmpeg -i IN -vf fps=10 "
            "-start_number 0 NAME_%04d.png); give the video itself instead"
        )
    return [Finding("warning", video, what, advice)]
