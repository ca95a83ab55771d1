"""The process around a stage's `main`: threads, logging, timing, readable errors and exit codes."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipelines.runtime.project import Project

logger = logging.getLogger(__name__)

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "NUMBA_NUM_THREADS",
)
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def run(stage: str, main: Callable[[Project], None]) -> None:
    """Run one stage on the project in the working directory and exit with its code.

    Known errors become one message on stderr, without a traceback.
    """
    raise SystemExit(execute(stage, main))


def execute(stage: str, main: Callable[[Project], None]) -> int:
    """Run `main` with fixed threads and hash seed, log its duration, and return the exit code."""
    from pipelines.runtime.errors import PerennialError, StoreError
    from pipelines.runtime.project import Project
    from pipelines.runtime.state import disk_message

    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format=f"{stage}: %(message)s", force=True)
    for noisy in ("httpx", "filelock", "matplotlib", "alembic", "mlflow", "urllib3", "fsspec"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    began = time.monotonic()
    try:
        project = Project.open()
        settle_environment(project.state)
        fix_process(threads=project.resources.threads)
        with alone(stage):
            project.store.remove_partial(stage)
            try:
                main(project)
            except BaseException:  # killed by Ctrl-C, too: the stages after this one are not reached
                _withdraw(project, stage)
                raise
    except PerennialError as error:
        sys.stderr.write(f"{stage}: {error}\n")
        return error.exit_code
    except OSError as error:
        if error.errno is None or error.filename is None:
            raise
        wrapped = StoreError(disk_message(Path(str(error.filename)), error))
        sys.stderr.write(f"{stage}: {wrapped}\n")
        return wrapped.exit_code
    logger.info("done in %.1f s; results in data/%s/", time.monotonic() - began, stage)
    return 0


def _withdraw(project: Project, stage: str) -> None:
    from pipelines.runtime.withdraw import withdraw_after

    if removed := withdraw_after(project.root, stage):
        logger.info("removed the evidence of an earlier run from stages after this one: %s", ", ".join(removed))


def settle_environment(state: Path) -> None:
    """Let libraries of this process and of its children keep their caches in the state root, not in the user's home.

    The loopback is reached without the proxy of a company.
    """
    os.environ.setdefault("NUMBA_CACHE_DIR", str(state / "numba-cache"))
    os.environ.setdefault("MPLCONFIGDIR", str(state / "matplotlib"))
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # before its import: it writes to the home otherwise
    for name in ("no_proxy", "NO_PROXY"):
        known = os.environ.get(name) or os.environ.get(name.swapcase()) or ""
        missing = [host for host in LOOPBACK if host not in known.replace(" ", "").split(",")]
        os.environ[name] = ",".join(filter(None, [known, *missing]))


@contextlib.contextmanager
def alone(stage: str) -> Iterator[None]:
    """Wait until no other process of this checkout runs the stage, then hold a lock that ends with this process.

    DVC's own locks end with DVC: a stage that outlives a killed `dvc repro` would still be writing during the next.
    """
    folder = Path(".dvc")
    if not folder.is_dir():  # outside a DVC repository there is no second run
        yield
        return
    import fcntl

    (folder / "tmp").mkdir(exist_ok=True)
    with (folder / "tmp" / f"stage.{stage}.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            logger.warning(
                "waiting for process %s of an earlier run, which is still writing", file.read().strip() or "?"
            )
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def fix_process(*, threads: int) -> None:
    """Set the threads of every numeric library and the hash seed; call it before those libraries are imported."""
    for name in THREAD_VARIABLES:
        os.environ[name] = str(threads)
    # Busy-waiting threads starve each other as soon as a second process runs: five times slower, measured.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    if os.environ.get("PYTHONHASHSEED") != "0" and not hasattr(sys, "ps1") and "pytest" not in sys.modules:
        # Sets of strings iterate in an order that depends on the hash seed, which Python reads only when it starts.
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606  the same command again
