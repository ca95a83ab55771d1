"""A checkout of its own for tests that run the whole pipeline: this repository's code, a tiny base model, few rows."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.factories.tiny_base_model import write_tiny_base_model

ROOT = Path(__file__).resolve().parents[2]
OVERLAY = ROOT / "tests" / "smoke" / "params.yaml"
ROWS_PER_DAY = 12  # of the simulated stream
PATIENCE_S = 1800  # of one command; a busy machine is slow, and nothing here waits for a clock


class Checkout:
    """A Git checkout in `folder / "checkout"` with a state root of its own."""

    def __init__(self, folder: Path, *, home: Path | None = None) -> None:
        self.root = folder / "checkout"
        self.home = home or folder / "home"
        self.overlay = folder / "overlay.yaml"
        self.models = folder / "models"

    def make(self) -> Checkout:
        """Copy what Git tracks or would track, make the stream small, and commit."""
        listed = subprocess.run(
            ["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard", "-z"], capture_output=True, check=True
        )
        for name in listed.stdout.decode().split("\0"):
            if name and (ROOT / name).is_file():
                (self.root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, self.root / name)
        for domain in ("pipelines/domains/complaints", "tests/domains/complaints_biased"):
            self.edit(f"{domain}/params.yaml", lambda params: params["simulator"].update(rows_per_day=ROWS_PER_DAY))
        params = self.root / "params.yaml"  # comments stay; one thread, since tests share the cores
        params.write_text(re.sub(r"(?m)^  threads: \d+", "  threads: 1", params.read_text(encoding="utf-8")))
        overlay = yaml.safe_load(OVERLAY.read_text(encoding="utf-8"))
        overlay["base_model"] = write_tiny_base_model(self.models)
        self.overlay.write_text(yaml.safe_dump(overlay), encoding="utf-8")
        self.home.mkdir(parents=True)
        assert self.run(sys.executable, "scripts/dvc_places.py").returncode == 0
        self.git("init", "--quiet", "--initial-branch=main")
        for name, value in (("user.name", "tester"), ("user.email", "tester@localhost")):
            self.git("config", name, value)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "as it is")
        assert self.run("scripts/hide_run_files.sh").returncode == 0
        return self

    def copy(self, folder: Path, *, home: Path | None = None) -> Checkout:
        """The same checkout with everything it has made; without `home`, its state root knows no release."""
        other = Checkout(folder, home=home)
        shutil.copytree(self.root, other.root)
        shutil.copyfile(self.overlay, other.overlay)
        other.models = self.models
        return other

    def edit(self, name: str, change: Any) -> None:
        """Change a YAML file of the checkout in place."""
        content = yaml.safe_load((self.root / name).read_text(encoding="utf-8"))
        change(content)
        (self.root / name).write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")

    def environment(self, **more: str) -> dict[str, str]:
        """What a command of this checkout runs with."""
        mine = {name: value for name, value in os.environ.items() if not name.startswith(("PERENNIAL", "MLFLOW"))}
        mine["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{mine['PATH']}"
        mine |= {"PERENNIAL_HOME": str(self.home), "PERENNIAL_MODELS": str(self.models), "HF_HUB_OFFLINE": "1"}
        mine |= {"NUMBA_CACHE_DIR": os.environ.get("NUMBA_CACHE_DIR", str(ROOT / ".perennial" / "numba-cache"))}
        return mine | {"DVC_NO_ANALYTICS": "1", "COLUMNS": "160"} | more

    def command(self, *words: str) -> list[str]:
        """A command with this environment's Python in front when it names a module."""
        if words[0] == "dvc":
            return [str(Path(sys.executable).with_name("dvc")), *words[1:]]
        return [sys.executable, "-m", *words] if words[0] == "pipelines" else list(words)

    def run(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the checkout and return its result."""
        return subprocess.run(
            self.command(*words),
            cwd=self.root,
            env=self.environment(**more),
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=PATIENCE_S,
        )

    def release(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run `python -m pipelines`."""
        return self.run("pipelines", *words, **more)

    def dvc(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run DVC."""
        return self.run("dvc", *words, **more)

    def git(self, *words: str) -> str:
        """Run Git and return its output."""
        answer = self.run("git", *words)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout.strip()

    def json(self, name: str) -> Any:
        """A JSON file of the checkout."""
        return json.loads((self.root / name).read_text(encoding="utf-8"))

    def metrics(self, stage: str) -> Any:
        """Everything in a stage's metrics.json."""
        return self.json(f"data/{stage}/metrics.json")["details"][0]

    def graph(self) -> dict[str, list[str]]:
        """Every stage of dvc.yaml with the paths it writes."""
        stages = yaml.safe_load((self.root / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
        return {
            name: [
                next(iter(item)) if isinstance(item, dict) else item
                for kind in ("outs", "metrics", "plots")
                for item in block.get(kind, [])
            ]
            for name, block in stages.items()
        }

    def digests(self) -> dict[str, str]:
        """Digest of every output of every stage, files of folders one by one."""
        from pipelines.runtime.store import file_digest

        found = {}
        for paths in self.graph().values():
            for path in paths:
                target = self.root / path
                files = [file for file in target.rglob("*") if file.is_file()] if target.is_dir() else [target]
                found |= {file.relative_to(self.root).as_posix(): file_digest(file) for file in files}
        return dict(sorted(found.items()))


def stages_run(answer: subprocess.CompletedProcess[str]) -> list[str]:
    """Names of the stages that a `dvc repro` ran; `source` is always the first."""
    return re.findall(r"^Running stage '([^']+)'", answer.stdout, re.MULTILINE)


def output_of(answer: subprocess.CompletedProcess[str]) -> str:
    """Both streams of a command, for the message of an assertion."""
    return f"exit code {answer.returncode}\n{answer.stdout[-6000:]}\n{answer.stderr[-6000:]}"
