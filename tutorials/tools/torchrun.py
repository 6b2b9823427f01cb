"""torchrun without its tracebacks, on one machine or several: the processes themselves have said what happened.

python -m tutorials.tools.torchrun 2 tutorials.cifar10 --data official

On each of several hosts, from the environment: NNODES (how many), NODE_RANK (which one, from 0), and MASTER, the first
one's host:port, which all of them can reach; their run folders must be the same, on a file system that they share.
RESTARTS: how often all processes start again, from the last checkpoint, after one of them was killed.
"""

import contextlib
import logging
import os
import socket
import struct
import sys

from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import main as torchrun

from tutorials.tools.launch import whole

PORT = "29500"  # torchrun's own, where MASTER has none


def main() -> int:
    processes, module, *arguments = sys.argv[1:]
    try:
        count = whole("NPROC", value=processes)
        where = [f"--nproc-per-node={count}", f"--max-restarts={whole('RESTARTS', 0)}", *hosts()]
    except ValueError as error:
        print(f"torchrun: {error}", file=sys.stderr)
        return 2
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // count)))
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # no warnings of hosts that have addresses but no names
    logging.disable()  # of this process: the others speak for themselves
    try:
        torchrun([*where, "-m", module, *arguments])
    except SignalException as stopped:
        return 128 + stopped.sigval
    except ChildFailedError as failed:
        code = failed.get_first_failure()[1].exitcode
        return code if code > 0 else 128 - code
    return 0


def hosts() -> list[str]:
    """torchrun's options for the hosts that the environment names; raises ValueError for what does not fit."""
    count = whole("NNODES")
    if count == 1:
        return ["--standalone"]
    rank, master = whole("NODE_RANK", 0, count - 1), os.environ.get("MASTER", "")
    name, _, port = master.partition(":")
    if not name:
        raise ValueError("NNODES: give the first host's address on every host: MASTER=host:port")
    try:
        address = own_address(name, whole("MASTER's port", 1, 65535, port or PORT))
    except OSError as error:
        raise ValueError(f"MASTER={master}: there is no way to that host ({error.strerror})") from None
    if interface := interface_of(address):  # or gloo and nccl may take one that the others cannot reach
        os.environ.setdefault("GLOO_SOCKET_IFNAME", interface)
        os.environ.setdefault("NCCL_SOCKET_IFNAME", interface)
    # A store for each start: in one that all starts share, workers would find the addresses of those that died.
    os.environ.setdefault("TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "1")
    print(f"host {rank} of {count}, {address}: waiting for the others at {name}:{port or PORT}", file=sys.stderr)
    return [f"--nnodes={count}", "--rdzv-backend=c10d", f"--rdzv-endpoint={name}:{port or PORT}", "--rdzv-id=study",
            f"--rdzv-conf=is_host={int(rank == 0)}", f"--local-addr={address}"]  # fmt: skip


def own_address(host: str, port: int) -> str:
    """This machine's address on the way to a host."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
        way.connect((host, port))  # nothing is sent
        return way.getsockname()[0]


def interface_of(address: str) -> str | None:
    """The name of the network interface with an address, where the system is Linux."""
    with contextlib.suppress(ImportError, OSError):
        import fcntl

        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            for _, name in socket.if_nameindex():
                with contextlib.suppress(OSError):  # an interface without an address
                    found = fcntl.ioctl(any_socket, 0x8915, struct.pack("256s", name.encode()[:15]))  # SIOCGIFADDR
                    if socket.inet_ntoa(found[20:24]) == address:
                        return name
    return None


if __name__ == "__main__":
    sys.exit(main())
