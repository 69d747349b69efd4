"""``saiseld live``: who sounds where, while it happens."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from saiseld.cli.options import Channels as Kind
from saiseld.cli.options import Device, Fast, Host, Precise, SystemName, Threshold, Token, Weights

_FIRST_FOUR = "1,2,3,4"

if TYPE_CHECKING:
    from saiseld.arrays.description import MicrophoneArray
    from saiseld.checks.recording import Format, Layout
    from saiseld.live.arrays import ChannelMap
    from saiseld.live.events import EventChange
    from saiseld.live.frames import LiveFrame
    from saiseld.live.opening import SourceConfig
    from saiseld.live.outputs import Output
    from saiseld.live.session import Sink
    from saiseld.live.sources import Source as LiveSource
    from saiseld.live.stream import Stream

Source = Annotated[
    str | None,
    typer.Argument(
        help="A recording; device or device:NAME (microphones); - (WAV, FLAC or raw "
        "samples on standard input); tcp://HOST:PORT or udp://HOST:PORT to listen "
        "on. Default: the packaged scene."
    ),
]
Camera = Annotated[
    str | None, typer.Option(help="Camera (/dev/video0, rtsp://...), video or folder of frames.")
]
Rate = Annotated[int, typer.Option(help="Sample rate of a device or raw stream, in Hz.")]
SourceChannels = Annotated[
    int | None,
    typer.Option(
        min=1, help="Channels of a device or raw stream. Default: 4, or those of --array."
    ),
]
Port = Annotated[
    int, typer.Option(min=0, max=65535, help="Port of the page; 0 chooses a free one.")
]
Seconds = Annotated[
    float | None, typer.Option(min=0.1, help="Stop after so many seconds of sound.")
]
ListDevices = Annotated[bool, typer.Option("--list-devices", help="List the microphones and exit.")]
Latency = Annotated[
    str,
    typer.Option(
        help="low: a frame is complete after 1 s; exact: after 5 s, equal to that of `image`."
    ),
]
Form = Annotated[Literal["int16", "float32"], typer.Option(help="Sample format of a raw stream.")]
Channels = Annotated[
    str, typer.Option(help="Channels of the four capsules, in their order, counted from 1.")
]
Array = Annotated[
    str | None,
    typer.Option(
        help="Microphone array: a name of `saiseld array list`, or a TOML file such as "
        "--find-channels writes."
    ),
]
Record = Annotated[
    Path | None, typer.Option(help="Folder to record WAV, MP4 and JSON into, in segments.")
]
Late = Annotated[float, typer.Option(min=0, help="Delay of the camera in seconds.")]
Events = Annotated[
    Literal["jsonl"] | None,
    typer.Option(
        help="Write a line of JSON to standard output when an event begins, moves or ends."
    ),
]
Osc = Annotated[str | None, typer.Option(help="HOST:PORT to send events to by OSC (UDP).")]
Mqtt = Annotated[str | None, typer.Option(help="HOST:PORT of a broker to publish events to.")]
Once = Annotated[
    bool,
    typer.Option(
        "--once", help="End when the first TCP sender disconnects, instead of waiting for the next."
    ),
]
Find = Annotated[
    Path | None,
    typer.Option(
        help="Find order, polarity and front of the channels by claps, and write them to this file."
    ),
]


def live(
    source: Source = None,
    video: Camera = None,
    loop: Annotated[bool, typer.Option("--loop", help="Repeat the recording.")] = False,
    latency: Latency = "low",
    rate: Rate = 48_000,
    source_channels: SourceChannels = None,
    form: Form = "int16",
    channels: Channels = _FIRST_FOUR,
    array: Array = None,
    kind: Kind = "auto",
    camera_late: Late = 0.0,
    record: Record = None,
    segment: Annotated[float, typer.Option(min=1, help="Length of a segment in seconds.")] = 60.0,
    page: Annotated[bool, typer.Option(help="Serve the live page.")] = True,
    host: Host = "127.0.0.1",
    port: Port = 8360,
    token: Token = None,
    events: Events = None,
    osc: Osc = None,
    mqtt: Mqtt = None,
    seconds: Seconds = None,
    once: Once = False,
    weights: Weights = None,
    device: Device = "auto",
    precise: Precise = False,
    fast: Fast = None,
    system: SystemName = None,
    threshold: Threshold = None,
    list_devices: ListDevices = False,
    find_channels: Find = None,
) -> None:
    """See who sounds where while it happens, on a page and as lines in the terminal.

    Ctrl-C ends it; recorded files are complete.

        saiseld live --loop --events jsonl

        saiseld live device --rate 48000 --video /dev/video0 --record day
    """
    from saiseld.live.opening import SourceConfig, elevation_assumed, open_live

    if list_devices:
        return _print_devices()
    of = _layout(chosen := _array(array, channels), kind)
    config = SourceConfig(source, video, loop, source_channels, rate, form, camera_late, of, once)
    if find_channels is not None:
        return _find_channels(config, chosen, find_channels)
    from saiseld.decision.systems import system_named
    from saiseld.live.session import MOST_BEHIND_S, SKIPS_BEHIND_S, run
    from saiseld.live.stream import Stream, latency_named
    from saiseld.pipeline.defaults import viewing_threshold
    from saiseld.pipeline.imager import Imager

    sound, camera = open_live(config)
    wiring = _wiring(chosen, sound, usual=array is None and channels == _FIRST_FOUR)
    shown = viewing_threshold(weights) if threshold is None else threshold
    stream = Stream(
        Imager(weights, device=device, precise=precise, fast=fast, threads=1),
        video=camera is not None,
        latency=latency_named(latency),
        sample_rate=sound.sample_rate,
        system=None if system is None else system_named(system),
        threshold=shown,
        max_lag_s=MOST_BEHIND_S,
        skip_lag_s=SKIPS_BEHIND_S,
        yaw_deg=wiring.turn,
        elevation_assumed=elevation_assumed(sound),
    )
    summary = _Summary(stream)
    with ExitStack() as opened:
        sinks: list[Sink] = [summary.add, _feed(opened, events is not None, osc, mqtt)]
        if record is not None:
            sound = _recorded(opened, record, segment, sound, sinks)
        if page:
            sinks.append(_served(opened, host, port, token, wiring.turn, sound.name, shown))
        try:
            run(sound, camera, stream, sinks, channels=wiring, seconds=seconds)
        finally:
            summary.print()


def _recorded(
    opened: ExitStack, folder: Path, seconds: float, sound: LiveSource, sinks: list[Sink]
) -> LiveSource:
    """Add a recorder to sinks; return the source, its channels recorded if not the capsules."""
    from saiseld.live.recorder import Recorder
    from saiseld.live.sources import ConvertedSource, tapped

    came = sound.source if isinstance(sound, ConvertedSource) else sound
    recorder = opened.enter_context(Recorder(folder, seconds, came.sample_rate))
    if came is not sound or came.channels != 4:
        sound = tapped(sound, recorder.add_channels)
    sinks.append(recorder.add)
    return sound


def _served(
    opened: ExitStack,
    host: str,
    port: int,
    token: str | None,
    turn: float,
    source: str,
    threshold: float,
) -> Sink:
    from saiseld.live.page import serve

    page = opened.enter_context(
        serve(host, port, token, turn=turn, source=source, threshold=threshold)
    )
    typer.echo(f"Look at {page.url}", err=True)
    return page.show


def _feed(opened: ExitStack, as_json: bool, osc: str | None, mqtt: str | None) -> Sink:
    """Return what takes frames and gives their events to all who were asked for."""
    from saiseld.live.outputs import EventFeed, json_lines, mqtt_output, osc_output

    outputs: list[Output] = [json_lines(sys.stdout) if as_json else _print_change]
    if osc is not None:
        outputs.append(opened.enter_context(osc_output(osc)))
    if mqtt is not None:
        outputs.append(opened.enter_context(mqtt_output(mqtt)))
    return opened.enter_context(EventFeed(outputs)).add


def _print_change(change: EventChange) -> None:
    if change.type == "begin":
        distance = "" if change.distance is None else f"{change.distance:6.1f} m"
        elevation = "    –" if change.elevation_assumed else f"{change.elevation:5.0f}°"
        typer.echo(
            f"{change.time:8.1f} s  {change.event:>4}  {change.class_name:<20}"
            f"{change.azimuth:6.0f}°{elevation}{distance}  {change.score:.2f}"
        )
    elif change.type == "end":
        typer.echo(f"{change.time:8.1f} s  {change.event:>4}  ends")


class _Summary:
    """What there was in all."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._last: LiveFrame | None = None

    def add(self, frame: LiveFrame) -> None:
        """Take a frame."""
        self._last = frame

    def print(self) -> None:
        """Print it."""
        if self._last is None:
            typer.echo("nothing came", err=True)
            return
        health, drift = self._stream.health, self._stream.drift_ppm
        summary = f"{self._last.frame + 1} frames, {self._last.dropped} dropped"
        for count, what in (
            (self._last.skipped, "pictures skipped for lack of time"),
            (health.unpictured, "frames without a picture"),
            (health.missing, "samples missing"),
            (health.late, "samples twice or too late"),
            (health.not_finite, "samples that were no numbers"),
        ):
            summary += f", {count} {what}" if count else ""
        if drift is not None:
            summary += f"; the microphones' clock runs {drift:+.0f} ppm fast"
        typer.echo(summary, err=True)


def _array(name: str | None, channels: str) -> MicrophoneArray | ChannelMap:
    """Return what --array and --channels describe; of the tetrahedron its map is enough."""
    from dataclasses import replace

    from saiseld.arrays.description import read_array, tetrahedron
    from saiseld.live.arrays import ChannelMap
    from saiseld.runtime.errors import DataError

    if name is not None and name.endswith(".json"):
        return ChannelMap.read(Path(name))
    array = tetrahedron() if name is None else read_array(name)
    if channels != _FIRST_FOUR or name is None:
        numbers = channels.split(",")
        if not all(number.strip().isdecimal() for number in numbers):
            raise DataError("--channels", expected="numbers like 1,2,3,4", found=channels)
        array = replace(array, channels=tuple(int(number) for number in numbers))
    return ChannelMap.of(array) if array.is_tetrahedron else array


def _layout(chosen: MicrophoneArray | ChannelMap, kind: Format) -> Layout:
    """Return what a source's channels are."""
    from saiseld.live.arrays import ChannelMap

    return kind if isinstance(chosen, ChannelMap) else chosen


def _wiring(chosen: MicrophoneArray | ChannelMap, sound: LiveSource, *, usual: bool) -> ChannelMap:
    """Return which channels are heard; of 32 the tetrahedron, where nothing else is said."""
    from saiseld.conventions.arrays import TETRAHEDRON
    from saiseld.live.arrays import ChannelMap

    if sound.channels == 32 and usual:
        return ChannelMap(tuple(number + 1 for number in TETRAHEDRON))
    return chosen if isinstance(chosen, ChannelMap) else ChannelMap()


def _print_devices() -> None:
    from saiseld.live.sources import devices

    for number, name, count, rate in devices():
        typer.echo(f"{number:>4}  {count:>3} channels  {rate:>6} Hz  {name}")


def _find_channels(config: SourceConfig, chosen: MicrophoneArray | ChannelMap, path: Path) -> None:
    from dataclasses import replace

    from saiseld.arrays.description import tetrahedron, write_array
    from saiseld.live.arrays import ChannelMap
    from saiseld.live.channel_identification import SECONDS, identify, record
    from saiseld.live.opening import open_live
    from saiseld.live.sources import ConvertedSource
    from saiseld.runtime.errors import DataError

    if config.source is None:
        raise DataError("--find-channels", expected="device, or a stream", found="no source")
    array = tetrahedron()
    if isinstance(chosen, ChannelMap):
        array = replace(array, channels=chosen.channels, polarity=chosen.polarity)
    else:
        array = chosen
    # Channels as they come, whatever they are of.
    is_map = isinstance(chosen, ChannelMap)
    source, _ = open_live(replace(config, kind="mic") if is_map else config)
    source = source.source if isinstance(source, ConvertedSource) else source
    claps = record(
        source,
        on_clap=lambda where: typer.echo(
            f"Clap {where}, one metre away or further, within {SECONDS:.0f} s", err=True
        ),
    )
    found = identify(claps, source.sample_rate, array)
    write_array(found.array, path)
    summary = f"{path}: channels {found.array.channels}, polarity {found.array.polarity}, "
    summary += f"front {found.array.yaw_deg:+.0f}° to the left; it explains {found.fit:.0%} of the "
    typer.echo(f"{summary}claps; use it with --array {path}")
