"""``saiseld array``: the arrays that are built in, and how well one tells directions."""

from __future__ import annotations

from typing import Annotated

import typer


def array_list() -> None:
    """List the built-in arrays, with the channels that their microphones are expected on.

    saiseld array list
    """
    from saiseld.arrays.description import array_names, read_array

    for name in array_names():
        array = read_array(name)
        channels = f"channels {array.channels[0]} to {array.channels[-1]}"
        half = f", listens {array.half}, elevation assumed" if array.elevation_assumed else ""
        typer.echo(f"{name:18s} {array.name:32s} {array.model:13s} {channels}{half}")


def array_check(
    array: Annotated[str, typer.Argument(help="A built-in array, or the TOML file of one.")],
    position_mm: Annotated[
        float, typer.Option(min=0, help="Standard deviation of the microphones' positions.")
    ] = 1.0,
    gain_db: Annotated[
        float, typer.Option(min=0, help="Standard deviation of the microphones' gains.")
    ] = 1.0,
) -> None:
    """Show an array's expected direction error by frequency, and its worst direction.

    One source in a diffuse field 10 dB below; microphones are a little off.

        saiseld array check my-array.toml
    """
    from saiseld.arrays.description import read_array
    from saiseld.arrays.geometry import expected_errors

    described = read_array(array)
    errors = expected_errors(described, position_m=position_mm / 1000, gain_db=gain_db)
    what = "azimuth" if errors.azimuth_only else "direction"
    typer.echo(
        f"{described.name}: {described.microphones} microphones, {described.model}, "
        f"channels {', '.join(map(str, described.channels))}"
    )
    if described.elevation_assumed:
        mean, deviation = described.elevation
        typer.echo(
            f"planar, listens {described.half}: elevation is not measured but assumed, "
            f"{mean:g} ± {deviation:g} degrees"
        )
    typer.echo(f"{'Hz':>6s}  {what} error, median  worst")
    for hz, median, worst in zip(
        errors.frequency_hz, errors.median_deg, errors.worst_deg, strict=True
    ):
        typer.echo(f"{hz:6.0f}  {median:{len(what) + 13}.1f}°  {worst:5.1f}°")
    azimuth, elevation = errors.worst_direction
    typer.echo(
        f"worst direction: azimuth {azimuth:.0f}, elevation {elevation:.0f}: "
        f"{errors.worst_error_deg:.1f}° over all frequencies"
    )
