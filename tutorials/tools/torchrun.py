"""torchrun for one machine, without its tracebacks: the processes themselves have said what happened.

python -m tutorials.tools.torchrun 2 tutorials.cifar10 --data official
"""

import logging
import os
import sys

from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import main as torchrun


def main() -> int:
    processes, module, *arguments = sys.argv[1:]
    if not processes.isdigit() or int(processes) < 1:
        print(f"NPROC must be a whole number of processes, not {processes!r}", file=sys.stderr)
        return 2
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // int(processes))))
    logging.disable()  # of this process: the others speak for themselves
    try:
        torchrun(["--standalone", f"--nproc-per-node={processes}", "-m", module, *arguments])
    except SignalException as stopped:
        return 128 + stopped.sigval
    except ChildFailedError as failed:
        code = failed.get_first_failure()[1].exitcode
        return code if code > 0 else 128 - code
    return 0


if __name__ == "__main__":
    sys.exit(main())
