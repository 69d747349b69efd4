"""``saiseld serve``: recordings of others, imaged behind an HTTP API."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from saiseld.cli.options import Array, Device, Half, Host, Precise, Token, Weights


def serve(
    folder: Annotated[Path, typer.Argument(help="Folder for jobs; existing jobs continue.")],
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 chooses a free one.")] = 8361,
    token: Token = None,
    root_path: Annotated[
        str, typer.Option(help="Path under which a proxy serves it, such as /imaging.")
    ] = "",
    weights: Weights = None,
    device: Device = "auto",
    half: Half = False,
    precise: Precise = False,
    array: Array = None,
    max_gb: Annotated[
        float, typer.Option(min=0.001, help="Largest uploaded file in gigabytes.")
    ] = 4,
    max_jobs: Annotated[
        int, typer.Option(min=1, help="Largest number of jobs in the folder.")
    ] = 100,
    max_minutes: Annotated[
        float, typer.Option(min=0.1, help="Longest time for a job in minutes.")
    ] = 240,
    max_memory_gb: Annotated[
        float, typer.Option(min=0.5, help="Memory limit of a job in gigabytes.")
    ] = 8,
) -> None:
    """Image recordings that are uploaded over HTTP, one after the other, and serve the results.

    Clients on other machines need the token, which is part of the printed address.

        saiseld serve jobs/
    """
    import os
    import threading

    from saiseld.arrays.description import read_array
    from saiseld.pipeline.networks import NetworkOptions
    from saiseld.serve.api import serve as serve_jobs
    from saiseld.serve.jobs import Limits
    from saiseld.serve.worker import image_job

    networks = NetworkOptions(weights, device, half, precise)
    networks.find_weights().checked()
    limits = Limits(
        upload_bytes=int(max_gb * 1e9),
        jobs=max_jobs,
        job_s=60 * max_minutes,
        cpu_s=60 * max_minutes * (os.cpu_count() or 1),
        memory_bytes=int(max_memory_gb * 1e9),
    )
    described = None if array is None else read_array(array)
    do = partial(image_job, networks=networks, array=described)
    with serve_jobs(
        folder,
        host=host,
        port=port,
        token=token,
        root_path=root_path,
        limits=limits,
        array=described,
        do=do,
    ) as server:
        typer.echo(server.url)
        threading.Event().wait()
