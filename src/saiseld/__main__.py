"""The ``saiseld`` command, also as ``python -m saiseld``."""

from __future__ import annotations

import os
import signal


def main() -> None:
    """Run the command line.

    Until it is loaded there is nothing to tidy, so a signal ends at once and in silence.
    """
    # A notebook's: nothing here opens a window, and its backend may not be installed here.
    os.environ.pop("MPLBACKEND", None)
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda *_: os._exit(128 + signal.SIGINT))
    from saiseld.cli.main import main as run

    run()


if __name__ == "__main__":
    main()
