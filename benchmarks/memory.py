"""Peak memory of imaging a long recording against a short one: the ratio of two processes' peaks.

Runs `saiseld features`, which is the whole way from sound to acoustic images, on noise of five
minutes and of one hour, each in a process of its own. `--detect` runs the whole of `saiseld image`
instead, without the overlay video (on CPU an hour of it takes a while: shorten it with --long).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from rich.console import Console
from rich.table import Table

from saiseld.acoustics.uplam import UpLAM
from saiseld.detector.model import Detector
from saiseld.formats.checkpoint import write_checkpoint


def write_noise(path: Path, minutes: float) -> Path:
    """Write a 4-channel 16-bit WAV of noise, a minute at a time."""
    rng = np.random.default_rng(0)
    with soundfile.SoundFile(path, "w", 24000, 4, "PCM_16") as file:
        left = int(minutes * 60 * 24000)
        while left:
            count = min(left, 60 * 24000)
            file.write(rng.integers(-3000, 3000, (count, 4), np.int16))
            left -= count
    return path


def peak_mb(command: list[str]) -> float:
    """Run ``saiseld`` in a process of its own and return its peak memory in MB."""
    program = (
        "import resource, sys; from saiseld.cli.main import build; "
        f"build()({command!r}, standalone_mode=False); "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return int(done.stdout.split()[-1]) / 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", type=float, default=5, help="minutes")
    parser.add_argument("--long", type=float, default=60, help="minutes")
    parser.add_argument("--detect", action="store_true", help="the whole of `saiseld image`")
    options = parser.parse_args()
    table = Table("recording", "peak memory")
    peaks = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_checkpoint(folder / "uplam.safetensors", UpLAM().state_dict(), {})
        Detector("compact").save(folder / "detector.safetensors")
        for minutes in (options.short, options.long):
            recording = write_noise(folder / f"{minutes:g}.wav", minutes)
            command = ["image", "--no-overlay"] if options.detect else ["features"]
            command += [str(recording), "--weights", name, "-o", str(folder / "out")]
            peaks.append(peak_mb(command))
            recording.unlink()
            table.add_row(f"{minutes:g} min", f"{peaks[-1]:.0f} MB")
    Console().print(table)
    print(f"ratio {peaks[1] / peaks[0]:.2f} (at most 1.3 is asked)")


if __name__ == "__main__":
    main()
