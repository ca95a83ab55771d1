"""Several processes of one training, one per GPU: copies of this command that accelerate joins.

The processes find each other through the variables of torchrun (RANK, WORLD_SIZE, MASTER_ADDR, ...), which accelerate
reads.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from pipelines.runtime.errors import InputError


@contextmanager
def together(processes: int) -> Iterator[bool]:
    """Start the copies that are missing and yield whether this process is the one that writes.

    A copy has RANK in its environment, as torchrun and `accelerate launch` also set it, and starts none. Raises
    InputError when the machine has fewer GPUs than `processes`.
    """
    if processes == 1 or "RANK" in os.environ:
        yield os.environ.get("RANK", "0") == "0"
        return
    import torch

    gpus = torch.cuda.device_count()
    if gpus and processes > gpus:
        raise InputError(f"invalid finetune.processes = {processes}: expected at most {gpus}, one per GPU")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    names = {"WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes)}
    os.environ.update(names | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "RANK": "0", "LOCAL_RANK": "0"})
    copies = [_copy(rank) for rank in range(1, processes)]
    try:
        yield True
        for copy, _ in copies:
            copy.wait()
    finally:
        for copy, _ in copies:
            copy.kill()
            copy.wait()
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def _copy(rank: int) -> tuple[subprocess.Popen[bytes], IO[bytes]]:
    """Start a copy of this command; if it fails, its output is shown and this process ends."""
    log = tempfile.TemporaryFile(prefix=f"perennial-process-{rank}-")  # noqa: SIM115  closed with the process
    copy = subprocess.Popen(
        [sys.executable, *sys.orig_argv[1:]],
        env={**os.environ, "RANK": str(rank), "LOCAL_RANK": str(rank)},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
    )
    threading.Thread(target=_watch, args=(rank, copy, log), daemon=True).start()
    return copy, log


def _watch(rank: int, copy: subprocess.Popen[bytes], log: IO[bytes]) -> None:
    """End this process when a copy fails; otherwise it would wait for that copy forever."""
    code = copy.wait()
    if code in (0, -9):  # -9: killed by `together`, because this process itself is failing
        return
    log.seek(0)
    sys.stderr.write(f"process {rank} of this training failed:\n{log.read().decode(errors='replace')[-4000:]}")
    sys.stderr.flush()
    os._exit(code if code > 0 else 1)
