"""`python -m caviar.command.attached PROCESS …`: the command line, which ends when the process that started it ends.

However that one ends: a queue that was killed must not leave an experiment behind that is then begun a second time.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # prctl(2)


def attach(parent: int, ending: int = signal.SIGTERM) -> None:
    """Have the system end this process when its parent ends; without a parent of this number, end at once.

    Args:
        parent: The process that started this one.
        ending: The signal that ends this one.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, ending)
    if os.getppid() != parent:  # it has ended meanwhile
        sys.exit(1)


if __name__ == "__main__":
    attach(int(sys.argv.pop(1)))
    from caviar.command.main import main

    main()
