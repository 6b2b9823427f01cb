"""A page of gradio for this machine: its own addresses alone are served, inputs are limited, no other file is read.

What is uploaded lies in a folder that goes with the process. Each lock is tried in tests/tools/test_demo.py.
"""

import errno
import logging
import os
import re
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from PIL import Image

from data import StudyError
from data.pictures import PIXELS
from tutorials.common.interrupts import SIGNALS, Stopping

LOOPBACK = ("127.0.0.1", "localhost")
MEGABYTES = 10  # of a picture
CONNECTIONS, IDLE = 100, 20  # at once; seconds until one that has asked nothing is closed
# Beside what is typed, the answer, and the figure, which ends above the window's lower edge.
CSS = ".figure img {max-height: calc(100vh - 230px); max-width: 100%; width: auto}"


class Gate:
    """Lets pass what the page itself asks for, under the names of this machine and in bodies of a limited size, and
    tells the browser to load nothing from elsewhere."""

    page = re.compile(r"/|/config|/theme\.css|/favicon\.ico|/manifest\.json|/(assets|static|svelte)/[^?]+|"
                      r"/gradio_api/(startup-events|heartbeat/\w+|upload|upload_progress|queue/(join|data)|"
                      r"file=[^\0]+)")  # fmt: skip
    policy = b"default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; frame-ancestors 'none'"

    def __init__(self, app: Callable, files: Path, names: Sequence[str]) -> None:
        self.app, self.files, self.names = app, files, names

    async def __call__(self, scope: dict, receive: Callable, send: Callable) -> None:
        async def send_locked(message: dict) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), (b"content-security-policy", self.policy)]
            await send(message)

        if scope["type"] != "http" or not (code := self.refuse(scope)):
            return await self.app(scope, receive, send_locked)
        await send({"type": "http.response.start", "status": code, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": b"refused"})

    def refuse(self, scope: dict) -> int:
        """The status code of a request that is refused; 0 for one that may pass."""
        headers = {name.decode("latin1"): value.decode("latin1") for name, value in scope["headers"]}
        host, length = headers.get("host", ""), headers.get("content-length", "")
        if self.names and host.partition(":")[0] not in self.names:  # another site's, resolved to this machine
            return 403
        if headers.get("origin", f"//{host}").partition("//")[2] != host:  # another site's page that sends something
            return 403
        known = length.isdecimal() and "transfer-encoding" not in headers  # a body in chunks has any length
        if scope["method"] == "POST" and not (known and int(length) <= (MEGABYTES + 1) * 2**20):
            return 413
        if not self.page.fullmatch(scope["path"]):
            return 404
        file = scope["path"].partition("/file=")[2]
        return 403 if file and not Path(file).resolve().is_relative_to(self.files) else 0


def load_gradio(files: Path) -> ModuleType:
    """The library, set to keep to itself and to this folder; raises StudyError when it is not there."""
    for name in [name for name in os.environ if name.startswith("GRADIO_")]:
        del os.environ[name]  # which could share the page, or open folders
    os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_TEMP_DIR": str(files),
                   "GRADIO_EXAMPLES_CACHE": str(files / "examples"), "HF_HUB_OFFLINE": "1"}  # fmt: skip
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]
    os.environ["NO_PROXY"] = "*"  # nothing is fetched; without it, the system's settings would hold
    tempfile.tempdir = str(files)
    try:
        import gradio
    except ImportError as error:
        raise StudyError(f"gradio: it cannot be loaded ({error}). `make setup` installs it.") from error

    async def refuse(url: str, cache_dir: str) -> str:
        raise gradio.Error("Files of other addresses are not fetched.", print_exception=False)

    gradio.processing_utils.async_ssrf_protected_download = refuse  # a crafted request may name a URL as its picture
    return gradio


def bound_connections() -> None:
    """Have uvicorn close connections that are too many for this process, or ask nothing, and bound its log: asyncio
    writes a traceback for every attempt to open one for which there is no file handle, thousands a second."""
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol

    try:
        import resource

        most = min(CONNECTIONS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4)
    except ImportError:  # Windows has no such limit
        most = CONNECTIONS

    class Bounded(H11Protocol):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.loop.call_later(IDLE, lambda: self.cycle or transport.abort())
            if len(self.connections) > most:
                transport.abort()

    uvicorn.Config = partial(uvicorn.Config, http=Bounded, backlog=most)
    for name in ("asyncio", "uvicorn.error"):
        logging.getLogger(name).addFilter(OnceAMinute())


class OnceAMinute(logging.Filter):
    """Lets a message of a log pass when the same one did not within the last minute."""

    def __init__(self) -> None:
        super().__init__()
        self.passed: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        message, now = record.getMessage(), time.monotonic()
        self.passed = {one: since for one, since in self.passed.items() if now - since < 60}
        return self.passed.setdefault(message, now) == now


def uploaded(sent: Any) -> str | None:
    """Where an uploaded file lies, of which a request tells; raises StudyError for any other file of the machine.

    gradio looks after this itself, but not where a request leaves out that it is a file which it names.
    """
    if not (sent and sent.path):
        return None
    if not Path(sent.path).resolve().is_relative_to(Path(tempfile.gettempdir()).resolve()):
        raise StudyError("demo: only what was uploaded is looked at.")
    return sent.path


def check_port(host: str, port: int) -> None:
    """Raise StudyError when the page cannot be served there."""
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        reason = str(error.strerror).partition(" (")[0]
        if error.errno in (errno.EADDRINUSE, errno.EACCES):  # taken, or one of the system's
            mend = f"Choose another port: make demo PORT={port + 1 if 1024 <= port < 2**16 - 1 else 7861}"
        else:
            mend = f'Give an address of this machine: make demo ARGS="--host {LOOPBACK[0]}"'
        raise StudyError(f"demo: cannot listen on {host}:{port} ({reason}). {mend}") from None


def serve(build: Callable[[ModuleType], Any], host: str, port: int) -> int:
    """Serve what `build(gradio)` returns until Ctrl-C; returns the exit code."""
    stopping = Stopping()
    stopping.listen()
    folder = tempfile.mkdtemp(prefix="study-demo-")
    try:
        check_port(host, port)
        files, local = Path(folder).resolve(), host in LOOPBACK
        if not local:
            print(f"demo: whoever reaches {host}:{port} can use this page, without a password", file=sys.stderr)
        gr = load_gradio(files)
        address = launch(gr, build(gr), files, host, port, LOOPBACK if local else ())
        print(f"the trained nets answer on {address} (Ctrl-C ends this)", flush=True)
        while True:
            time.sleep(1)
    except KeyboardInterrupt:
        for number in SIGNALS:  # a second one, in the midst of the cleaning up, would leave files
            signal.signal(number, signal.SIG_IGN)
        logging.disable()  # what is being answered will find its files gone
        delete(folder)
        print("\nstopped; what was uploaded is deleted")
    finally:
        delete(folder)
    return stopping.exit_code


def delete(folder: str) -> None:
    """Remove a folder, again where what is still being answered has written into it meanwhile."""
    for _ in range(50):
        shutil.rmtree(folder, ignore_errors=True)
        if not Path(folder).exists():
            break
        time.sleep(0.1)


def launch(gr: ModuleType, page: Any, files: Path, host: str, port: int, names: Sequence[str]) -> str:
    """Serve the page from a thread, with nothing that it does not need; returns its address."""
    from starlette.middleware import Middleware

    bound_connections()
    Image.MAX_IMAGE_PIXELS = PIXELS
    system = ["system-ui", "sans-serif"]
    gate = Middleware(Gate, files=files, names=names)
    _, address, _ = page.launch(
        server_name=host, server_port=port, share=False, quiet=True, prevent_thread_lock=True, inbrowser=False,
        max_file_size=MEGABYTES * 2**20, allowed_paths=[], footer_links=[], run_history=False, ssr_mode=False,
        enable_monitoring=False, mcp_server=False, pwa=False,
        css=CSS, theme=gr.themes.Default(font=system, font_mono=["ui-monospace", "monospace"]),
        app_kwargs={"middleware": [gate], "docs_url": None, "redoc_url": None, "openapi_url": None},
    )  # fmt: skip
    return address
