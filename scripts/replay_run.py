"""Run a recorded run again from its inputs, and compare every digest: `make replay TAG=runs/... REMOTE=ADDRESS`.

In a fresh clone with an empty cache and an empty state root: checks out the tag, fetches what no stage makes (the pinned
champion) from the DVC remote, runs every stage again (`--first STAGE`: from that stage on, with the recorded outputs of
the earlier ones), and compares outputs and inputs of each stage with the tag's `dvc.lock`.

Exit codes: 0 all digests are the same, 1 some differ, 64 unknown tag or stage, else that of the failed command.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

MAX_SHOWN = 10  # tags that a message names
BY_STAGE = dict[str, dict[str, str]]


def main(arguments: list[str] | None = None) -> int:
    """Replay, print the differences, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tag", required=True, help="tag of a recorded run; `git tag --list 'runs/*'` lists them")
    parser.add_argument("--remote", default="", help="DVC remote with the run's data (default: the repository's own)")
    parser.add_argument("--origin", default=".", help="git address with the tag (default: this checkout)")
    parser.add_argument("--first", default="", help="first stage to run again, when the source is gone")
    given = parser.parse_args(arguments)
    origin = given.origin if ":" in given.origin else str(Path(given.origin).resolve())
    with tempfile.TemporaryDirectory(prefix="replay-") as folder:
        try:
            recorded, found = replay(Path(folder), origin=origin, tag=given.tag, remote=given.remote, first=given.first)
        except subprocess.CalledProcessError as error:
            sys.stderr.write(f"replay: {' '.join(map(str, error.cmd))} failed: its message is above\n")
            return error.returncode
    return report(differences(recorded, found), total=sum(map(len, recorded.values())), tag=given.tag)


def replay(folder: Path, *, origin: str, tag: str, remote: str, first: str) -> tuple[BY_STAGE, BY_STAGE]:
    """Run the tag again below a folder; return the digests that it recorded and those that were found."""
    clone, home = folder / "clone", folder / "home"
    known = run(["git", "ls-remote", "--tags", "--refs", origin], folder).split("refs/tags/")[1:]
    tags = [line.split()[0] for line in known]
    if tag not in tags:
        runs = [name for name in tags if name.startswith("runs/")]
        raise SystemExit(refusal(f"TAG = {tag!r}", f"a tag of {origin}", runs))
    run(["git", "clone", "--quiet", "--no-checkout", "--", origin, str(clone)], folder)
    run(["git", "checkout", "--quiet", "--detach", f"refs/tags/{tag}"], clone)
    recorded = digests(clone / "dvc.lock")
    if first and first not in recorded:
        raise SystemExit(refusal(f"FIRST = {first!r}", "a stage of the run", list(recorded)))
    run(["dvc", "config", "--local", "cache.dir", str(folder / "cache")], clone)
    if remote:
        place = remote if ":" in remote else str(Path(remote).resolve())
        run(["dvc", "remote", "add", "--quiet", "--local", "--force", "--default", "replay", place], clone)
    environment = {"PERENNIAL_HOME": str(home), "PERENNIAL_ROOT": str(clone), "PERENNIAL_REPLAY": "1"}
    environment |= {"DVC_SITE_CACHE_DIR": str(folder / "site"), "PERENNIAL_TRACKING": "off"}
    inputs = [
        str(path.relative_to(clone)) for path in clone.rglob("*.dvc") if path.is_file() and ".dvc" not in path.parts
    ]
    order = list(recorded)
    earlier = order[: order.index(first)] if first else []
    if inputs or earlier:
        run(["dvc", "pull", "--quiet", *inputs, *earlier], clone, environment)
    again = ["--downstream", first] if first else []
    run(["dvc", "repro", "--force", "--no-run-cache", *again], clone, environment, shown=True)
    return recorded, digests(clone / "dvc.lock")


def refusal(given: str, expected: str, known: list[str]) -> int:
    """Print what is wrong with a parameter and what is accepted; return the exit code for it."""
    more = ", ..." if len(known) > MAX_SHOWN else ""
    sys.stderr.write(f"replay: invalid {given}: expected {expected}: {', '.join(known[-MAX_SHOWN:]) or 'none'}{more}\n")
    return 64


def run(arguments: list[str], folder: Path, environment: dict[str, str] | None = None, *, shown: bool = False) -> str:
    """Run a command in a folder and return its output, or show it; CalledProcessError when it fails."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    output = None if shown else subprocess.PIPE
    variables = {**os.environ, "PATH": path, "DVC_NO_ANALYTICS": "1", **(environment or {})}
    done = subprocess.run(
        arguments, cwd=folder, env=variables, stdout=output, stdin=subprocess.DEVNULL, check=True, text=True
    )
    return done.stdout or ""


def digests(lock: Path) -> BY_STAGE:
    """Return the digest of each input and output of each stage of a lock file, in its order."""
    stages: dict[str, Any] = yaml.safe_load(lock.read_text(encoding="utf-8"))["stages"]
    return {
        name: {
            f"{kind} {item['path']}": str(item.get("md5"))
            for key, kind in (("deps", "reads"), ("outs", "writes"))
            for item in stage.get(key, [])
        }
        for name, stage in stages.items()
    }


def differences(recorded: BY_STAGE, found: BY_STAGE) -> list[tuple[str, str, str, str]]:
    """Return stage, file, recorded and found digest of everything that is not the same, in the order of the stages."""
    return [
        (stage, file, recorded.get(stage, {}).get(file, "missing"), found.get(stage, {}).get(file, "missing"))
        for stage in {**recorded, **found}
        for file in {**recorded.get(stage, {}), **found.get(stage, {})}
        if recorded.get(stage, {}).get(file) != found.get(stage, {}).get(file)
    ]


def report(different: list[tuple[str, str, str, str]], *, total: int, tag: str) -> int:
    """Print what differs and why that may be; return the exit code."""
    if not different:
        print(f"replay: all {total} digests of {tag} are the same")
        return 0
    print(f"replay: {len(different)} of {total} digests differ from those of {tag}:")
    for stage, file, before, now in different:
        print(f"  {stage:12} {file}: recorded {before[:12]}, here {now[:12]}")
    first = next((stage for stage, file, *_ in different if file.startswith("writes")), different[0][0])
    print(
        f"The first stage that wrote something else is {first}; what follows from it differs, too. If its inputs are the same, "
        "another processor is the usual reason: its vector instructions add numbers in another order, and the last bits of "
        "floats differ. Otherwise another environment (compare with requirements/ of the tag), another number of threads, or "
        f"a change of the source. This machine: {processor()}, Python {platform.python_version()}"
    )
    return 1


def processor() -> str:
    """Return the name of this machine's processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    raise SystemExit(main())
