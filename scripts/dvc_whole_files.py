"""DVC's lock files, whole or not at all: `scripts/setup.sh` puts this beside DVC and has every process import it.

DVC 3 empties `dvc.lock` and `.dvc/tmp/rwlock` and then writes them: a kill in between leaves half a file, and every
later command refuses it. Here both are written beside their place and renamed. DVC also takes a zombie for a living
holder of its lock, so that a command whose dead parent was not reaped blocks all others; here a zombie is dead.
And `python` in a stage's command is the one that runs DVC, whether or not the environment was activated.
Nothing is imported before DVC itself asks for the three modules. docs/decisions/0012-dvc-lock-is-written-whole.md.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any


@contextlib.contextmanager
def whole(path: str, mode: str, **options: Any) -> Iterator[Any]:
    """A file open for writing that takes its place, synced, when the block ends without an error."""
    import shutil
    from pathlib import Path

    target = Path(path).resolve()
    partial = target.with_name(f".{target.name}.partial")
    try:
        with partial.open(mode, **options) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            shutil.copymode(target, partial)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


class WholeFiles:
    """A local file system of DVC whose `open` for writing is `whole`; all else is its own."""

    def __init__(self, own: Any) -> None:
        self.own = own

    def __getattr__(self, name: str) -> Any:
        return getattr(self.own, name)

    def open(self, path: Any, mode: str = "r", **options: Any) -> Any:
        """Open a file; for writing, whole or not at all."""
        if "w" not in mode:
            return self.own.open(path, mode, **options)
        return whole(os.fspath(path), mode, **options)


def mend_dump(module: Any) -> None:
    """`dvc.utils.serialize._common`: what writes dvc.lock and dvc.yaml."""
    dump = module._dump_data

    def dump_data(path: Any, data: Any, dumper: Any, fs: Any = None, **options: Any) -> None:
        from dvc.fs import localfs

        local = fs is None or getattr(fs, "protocol", None) in {"local", "file"}
        dump(path, data, dumper, fs=WholeFiles(fs or localfs) if local else fs, **options)

    module._dump_data = dump_data


def mend_rwlock(module: Any) -> None:
    """`dvc.rwlock`: who reads and writes which output at this moment."""
    edit = module._edit_rwlock
    module._edit_rwlock = lambda lock_dir, fs, hardlink: edit(lock_dir, WholeFiles(fs), hardlink)
    processes = module.psutil

    class Living:
        """psutil, but for zombies."""

        def __getattr__(self, name: str) -> Any:
            return getattr(processes, name)

        def pid_exists(self, pid: int) -> bool:
            """True for a process that can still do something."""
            try:
                return processes.Process(pid).status() != processes.STATUS_ZOMBIE
            except processes.NoSuchProcess:
                return False
            except processes.AccessDenied:
                return True

    module.psutil = Living()


def mend_run(module: Any) -> None:
    """`dvc.stage.run`: `python` of a stage's command is the Python of this DVC, also where PATH does not name it."""
    from pathlib import Path

    fix = module.fix_env
    here = str(Path(sys.executable).parent)  # not resolved: that of the environment

    def fix_env(env: Any = None) -> dict[str, str]:
        fixed: dict[str, str] = fix(env)
        return {**fixed, "PATH": os.pathsep.join(filter(None, [here, fixed.get("PATH") or os.defpath]))}

    module.fix_env = fix_env


MENDED: dict[str, Callable[[Any], None]] = {
    "dvc.utils.serialize._common": mend_dump,
    "dvc.rwlock": mend_rwlock,
    "dvc.stage.run": mend_run,
}


class Mender:
    """Finds the modules of MENDED as Python would and mends them once they are loaded."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """The module's own spec with a loader that mends, None for every other module."""
        mend = MENDED.get(name)
        spec = PathFinder.find_spec(name, path, target) if mend else None
        if mend is None or spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_and_mend(module: Any) -> None:
            execute(module)
            mend(module)

        spec.loader.exec_module = execute_and_mend  # type: ignore[method-assign]
        return spec


sys.meta_path.insert(0, Mender)  # type: ignore[arg-type]
