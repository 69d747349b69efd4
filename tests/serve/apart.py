"""A server in a process of its own, whose jobs are those of `tests.serve.fake`."""

import os
import select
import signal
import subprocess
import sys

import psutil
from tests.serve.asking import Client
from tests.waiting import PATIENCE_S

CLOCK_JUMPS = """
import random, time
true = time.time
time.time = lambda: true() + random.choice((-90_000.0, 0.0, 0.0, 90_000.0))
"""
PROGRAM = """
if __name__ == "__main__":  # children begin with this file too, and need nothing of it
    import sys, threading
    from contextlib import suppress
    from pathlib import Path
    from saiseld.serve.api import serve
    from tests.serve.fake import work

    with serve(Path(sys.argv[1]), port=0, do=work) as server:
        print(server.url, flush=True)
        with suppress(KeyboardInterrupt):
            threading.Event().wait()
"""


class Server:
    """Serves a folder until it is killed, perhaps by a clock that jumps by a day."""

    def __init__(self, folder, *, clock_jumps=False):
        script = folder.with_suffix(".py")
        script.write_text(CLOCK_JUMPS * clock_jumps + PROGRAM)
        self.process = subprocess.Popen(
            [sys.executable, str(script), str(folder)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert select.select([self.process.stdout], [], [], PATIENCE_S)[0]
        self.client = Client(self.process.stdout.readline())

    def kill(self, how=signal.SIGKILL):
        children = psutil.Process(self.process.pid).children(recursive=True)
        self.process.send_signal(how)
        self.process.wait(PATIENCE_S)
        self.process.stdout.close()
        _, left = psutil.wait_procs(children, timeout=PATIENCE_S)
        assert not [p for p in left if p.status() != psutil.STATUS_ZOMBIE]
