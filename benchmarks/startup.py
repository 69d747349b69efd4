"""Processor time before the first frame: ``python -m benchmarks.startup``.

Each step in a process of its own, of each the quickest of three; what a step needs of those before
it is counted with it.
"""

from __future__ import annotations

import subprocess
import sys

_HELP = "import saiseld.cli.main as main; main.build()"
_IMPORTS = f"{_HELP}; import saiseld.pipeline.image"
_NETWORKS = (
    f"{_IMPORTS}; from saiseld.pipeline.networks import NetworkOptions, load_networks; "
    "n = load_networks(NetworkOptions(device='cpu'), threads=1); "
    "n.load({branches}); n.decision_models, n.digests"
)
STEPS = {
    "python": "",
    "numpy": "import numpy",
    "saiseld --help": _HELP,
    "imports of image": _IMPORTS,
    "networks, by sound": _NETWORKS.format(branches="n.branches[1:]"),
    "networks, with pictures": _NETWORKS.format(branches="n.branches"),
}
_TIMED = "{step}\nfrom time import process_time; print(process_time())"


def seconds(step: str) -> float:
    """Return the processor time of a process that does a step."""
    program = _TIMED.format(step=step)
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    return float(done.stdout)


def main() -> None:
    """Print the seconds of each step."""
    for name, step in STEPS.items():
        print(f"{name:23s} {min(seconds(step) for _ in range(3)):6.2f} s")


if __name__ == "__main__":
    main()
