"""The ``saiseld`` command. Each command lives in a file of its own name."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from io import TextIOWrapper
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.logging import RichHandler

from saiseld.cli.storage import kept_here
from saiseld.runtime.errors import SaiseldError, one_line
from saiseld.runtime.parallel import set_progress, stop_as_ctrl_c_does
from saiseld.runtime.threads import keep_to_quota
from saiseld.runtime.version import __version__

COMMANDS = (
    "demo",
    "image",
    "live",
    "draw",
    "segments",
    "doctor",
    "features",
    "detect",
    "evaluate",
    "label",
    "simulate",
    "responses",
    "calibrate",
    "emit",
    "submit",
    "table1",
    "export",
    "recipes",
    "serve",
)
"""Modules of `saiseld.cli`, each with a function of its own name, in the order of the help page."""

STOPPED = 130
"""Exit code of a command that was told to stop."""

TRAIN_COMMANDS: tuple[str, ...] = (
    "uplam",
    "detector",
    "seld",
    "matchability",
    "recogniser",
    "fusion",
    "viewing",
    "all",
)
"""Modules ``train_<name>`` of `saiseld.cli`, under ``saiseld train <name>``."""

ARRAY_COMMANDS = ("list", "check")
"""Functions ``array_<name>`` of `saiseld.cli.array`, under ``saiseld array <name>``."""

EXTRAS = {
    "arrays": ("h5py",),
    "train": ("torch", "torchvision", "accelerate", "tensorboard", "onnx", "onnxscript"),
    "live": ("anyio", "fastapi", "starlette", "uvicorn", "websockets"),
    "robot": ("paho", "pythonosc"),
    "storage": ("fsspec",),
}
"""What only an extra brings."""


def build(command: str | None = None) -> typer.Typer:
    """Return the command-line application, with one command or group alone where it is named.

    What is not called need not be imported and described: that takes longer than to parse it.
    """
    app = typer.Typer(
        name="saiseld",
        help="Semantic acoustic imaging: who sounds where, as energy masks on a panorama.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
    )
    app.callback()(_options)
    known = (*COMMANDS, *(["train"] if TRAIN_COMMANDS else []), "array")
    wanted = (command,) if command in known else known
    for name in COMMANDS:
        if name in wanted:
            function = getattr(import_module(f"saiseld.cli.{name}"), name)
            app.command(name)(_guarded(function))
    if "train" in wanted:
        train = typer.Typer(
            no_args_is_help=True, rich_markup_mode=None, help="Train a part of the system."
        )
        for name in TRAIN_COMMANDS:
            function = getattr(import_module(f"saiseld.cli.train_{name}"), f"train_{name}")
            train.command(name)(_guarded(function))
        app.add_typer(train, name="train")
    if "array" in wanted:
        arrays = typer.Typer(
            no_args_is_help=True, rich_markup_mode=None, help="List and check microphone arrays."
        )
        for name in ARRAY_COMMANDS:
            function = getattr(import_module("saiseld.cli.array"), f"array_{name}")
            arrays.command(name)(_guarded(function))
        app.add_typer(arrays, name="array")
    return app


def _say_version(requested: bool) -> None:
    if requested:
        typer.echo(f"saiseld {__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and exit.", is_eager=True, callback=_say_version
        ),
    ] = False,
    quiet: Annotated[
        bool,
        typer.Option("--quiet", "-q", help="Print only warnings, errors and what was requested."),
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print each step.")] = False,
) -> None:
    level = logging.WARNING if quiet else logging.DEBUG if verbose else logging.INFO
    logging.getLogger("saiseld").setLevel(level)
    set_progress(not quiet)


def _guarded(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command end on a user's mistake with one line and exit 2, on Ctrl-C with 130."""

    @wraps(command)
    def run(*arguments: Any, **options: Any) -> None:
        console = Console(stderr=True)
        try:
            with kept_here(command.__name__, options) as on_disk:
                command(*arguments, **on_disk)
        except SaiseldError as error:
            console.print(f"error: {error}", style="bold red", markup=False, soft_wrap=True)
            raise typer.Exit(2) from None
        except MemoryError:
            console.print("error: memory is full; fewer --jobs need less", style="bold red")
            raise typer.Exit(2) from None
        except ModuleNotFoundError as error:
            extra = next((extra for extra, names in EXTRAS.items() if error.name in names), None)
            if extra is None:
                raise
            message = f"error: expected {error.name}, which is not installed. "
            message += f"Install it with what goes with it: pip install 'saiseld[{extra}]'"
            console.print(message, style="bold red", markup=False, soft_wrap=True)
            raise typer.Exit(2) from None
        except BaseException as error:
            if not _is_interrupt(error):
                raise
            console.print("stopped: what is finished is kept; the same command goes on from there")
            raise typer.Exit(STOPPED) from None

    return run


def _is_interrupt(error: BaseException | None) -> bool:
    """Return whether an error is Ctrl-C, or came of it: what compiled code was doing then fails."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


def _plain(record: logging.LogRecord) -> bool:
    """Leave in a message nothing that a terminal would obey: names come from anywhere."""
    record.msg, record.args = one_line(record.getMessage(), 2000), None
    return True


def main() -> None:
    """Run the command line."""
    keep_to_quota()
    try:
        stop_as_ctrl_c_does()
        for stream in (sys.stdout, sys.stderr):  # names of files need not be text
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        handler = RichHandler(
            console=Console(stderr=True), show_time=False, show_path=False, markup=False
        )
        handler.addFilter(_plain)
        logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[handler])
        # Options before the command are flags: the first word is the command's name.
        build(next((word for word in sys.argv[1:] if not word.startswith("-")), None))()
    except KeyboardInterrupt:  # before a command has begun
        sys.exit(STOPPED)


if __name__ == "__main__":
    main()
