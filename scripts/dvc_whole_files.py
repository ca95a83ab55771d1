"""The program `dvc` of the pipeline environment: DVC, with files that survive a kill.

`.venv/bin/dvc`, which `scripts/setup.sh` installs, runs this file. It changes DVC in this process only, in five ways:

1. `dvc.lock` and `.dvc/tmp/rwlock` are written next to their place and renamed (the first is synced before). DVC empties
   them first and then writes: a kill in between leaves half a file, which every later command refuses.
2. A zombie, and a process id that now belongs to another program, hold no lock. DVC waits for both.
3. `python` in a stage's command is the Python of this environment, whether or not the environment was activated, and it
   starts with the hash seed that stages need, so that it need not start again.
4. What DVC remembers about files is in `.dvc/tmp/site/`, not in `/var/tmp/dvc/`, which all users of a machine share.
5. `dvc.lock` holds no comments, so it is read by the fast parser, and it is written only when something in it changed:
   a stage that always runs, such as `source`, made DVC parse and write the whole file, which took a second. One text
   of YAML is parsed once: DVC reads `params.yaml` again for each stage.

Reasons and alternatives: docs/decisions/0012-dvc-lock-is-written-whole.md.
"""

from __future__ import annotations

import contextlib
import copy
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def whole(path: str, mode: str, *, sync: bool = True, **options: Any) -> Iterator[Any]:
    """Yield a file open for writing that takes its place, synced, when the block ends without an error."""
    target = Path(path).resolve()
    partial = target.with_name(f".{target.name}.partial")
    try:
        with partial.open(mode, **options) as file:
            yield file
            if sync:
                file.flush()
                os.fsync(file.fileno())
        if target.exists():
            shutil.copymode(target, partial)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


class WholeFiles:
    """A local file system of DVC whose `open` for writing is `whole`."""

    def __init__(self, own: Any, *, sync: bool = True) -> None:
        self.own, self.sync = own, sync

    def __getattr__(self, name: str) -> Any:
        return getattr(self.own, name)

    def open(self, path: Any, mode: str = "r", **options: Any) -> Any:
        """Open a file; one for writing is replaced completely or not at all."""
        if "w" not in mode:
            return self.own.open(path, mode, **options)
        return whole(os.fspath(path), mode, sync=self.sync, **options)


class Processes:
    """`psutil` as `dvc.rwlock` uses it."""

    def __init__(self, own: Any) -> None:
        self.own = own

    def pid_exists(self, pid: int) -> bool:
        """Return True for a DVC process that can still do something."""
        try:
            process = self.own.Process(pid)
            return process.status() != self.own.STATUS_ZOMBIE and any("dvc" in word for word in process.cmdline())
        except self.own.NoSuchProcess:
            return False
        except self.own.AccessDenied:
            return True


def install() -> None:
    """Change DVC in this process; AttributeError when another version of DVC lacks one of the functions."""
    from dvc import dirs, dvcfile, rwlock
    from dvc.fs import localfs
    from dvc.stage import run
    from dvc.utils.serialize import _common, _json, _toml, _yaml

    dump, edit, fix, site = _common._dump_data, rwlock._edit_rwlock, run.fix_env, dirs.site_cache_dir
    modify, parse = dvcfile.modify_yaml, _yaml.parse_yaml
    parsed: dict[tuple[str, str], Any] = {}
    bin_folder = str(Path(sys.executable).parent)  # not resolved: that of the environment

    def dump_data(path: Any, data: Any, dumper: Any, fs: Any = None, **options: Any) -> None:
        local = fs is None or getattr(fs, "protocol", None) in {"local", "file"}
        dump(path, data, dumper, fs=WholeFiles(fs or localfs) if local else fs, **options)

    def fix_env(env: Any = None) -> dict[str, str]:
        fixed: dict[str, str] = fix(env)
        return {
            "PYTHONHASHSEED": "0",
            **fixed,
            "PATH": os.pathsep.join(filter(None, [bin_folder, fixed.get("PATH") or os.defpath])),
        }

    def parse_yaml(text: str, path: Any, typ: str = "safe") -> Any:
        if typ != "safe":
            return parse(text, path, typ)
        if (text, os.fspath(path)) not in parsed:
            parsed[text, os.fspath(path)] = parse(text, path)
        return copy.deepcopy(parsed[text, os.fspath(path)])

    @contextlib.contextmanager
    def modify_yaml(path: Any, fs: Any = None) -> Iterator[Any]:
        if Path(path).name != dvcfile.LOCK_FILE:  # dvc.yaml has comments, which only the slow parser keeps
            with modify(path, fs=fs) as data:
                yield data
            return
        exists = fs.exists(os.fspath(path)) if fs else Path(path).exists()
        data = _yaml.load_yaml(path, fs=fs) if exists else {}
        before = copy.deepcopy(data)
        yield data
        if data != before or not exists:
            _yaml.dump_yaml(path, data, fs=fs)

    def site_cache_dir(chosen: str | None = None) -> str:
        here = Path.cwd()
        repository = next((folder for folder in (here, *here.parents) if (folder / ".dvc").is_dir()), None)
        # Its store of caches expands variables in the name of a folder.
        if chosen or repository is None or "$" in str(repository) or "DVC_SITE_CACHE_DIR" in os.environ:
            return str(site(chosen))
        folder = repository / ".dvc" / "tmp" / "site"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return str(folder)

    for module in (_common, _json, _toml, _yaml):
        module._dump_data = dump_data
    rwlock._edit_rwlock = lambda lock_dir, fs, hardlink: edit(lock_dir, WholeFiles(fs, sync=False), hardlink)
    rwlock.psutil = Processes(rwlock.psutil)
    run.fix_env = fix_env
    dvcfile.modify_yaml = modify_yaml
    _yaml.parse_yaml = parse_yaml
    dirs.site_cache_dir = site_cache_dir


def main() -> int:
    """Run DVC's command line."""
    install()
    from dvc.cli import main as dvc_main

    return int(dvc_main() or 0)


if __name__ == "__main__":
    raise SystemExit(main())
