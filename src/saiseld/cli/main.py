"""The ``saiseld`` command. Each command lives in a file of its own name."""

from __future__ import annotations

import logging
import sys
from importlib import import_module

import typer
from rich.console import Console
from rich.logging import RichHandler

from saiseld.errors import SaiseldError

COMMANDS = ("image", "doctor", "features", "detect", "evaluate", "label", "simulate", "emit", "submit")
"""Modules of `saiseld.cli`, each with a function of its own name, in the order of the help page."""

TRAIN_COMMANDS: tuple[str, ...] = ()
"""Modules ``train_<name>`` of `saiseld.cli`, under ``saiseld train <name>``."""


def build() -> typer.Typer:
    """Return the command-line application."""
    app = typer.Typer(
        name="saiseld",
        help="Semantic acoustic imaging: who sounds where, as energy masks on a panorama.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for name in COMMANDS:
        command = getattr(import_module(f"saiseld.cli.{name}"), name)
        app.command(name)(command)
    if TRAIN_COMMANDS:
        train = typer.Typer(no_args_is_help=True, help="Train a part of the system.")
        for name in TRAIN_COMMANDS:
            function = getattr(import_module(f"saiseld.cli.train_{name}"), f"train_{name}")
            train.command(name)(function)
        app.add_typer(train, name="train")
    return app


def main() -> None:
    """Run the command line: exit 2 with one clear line on a user's mistake, 130 on Ctrl-C."""
    console = Console(stderr=True)
    logging.basicConfig(
        level=logging.INFO,
        format="%(message)s",
        handlers=[RichHandler(console=console, show_time=False, show_path=False, markup=False)],
    )
    try:
        build()()
    except SaiseldError as error:
        console.print(
            f"error: {error}", style="bold red", markup=False, highlight=False, soft_wrap=True
        )
        sys.exit(2)
    except KeyboardInterrupt:
        console.print("stopped: finished recordings are kept; the same command goes on from there")
        sys.exit(130)


if __name__ == "__main__":
    main()
