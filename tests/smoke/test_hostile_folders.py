"""A whole run in a folder with a name that is special in other languages, with a person's settings; then it is moved.

Every name is also a part of the one path of the quick test: what breaks on one of them breaks there.
"""

import json
import sys
from pathlib import Path

import pytest

from tests.factories.checkout import Checkout, output_of

NAMES = ["Büro", "c# samples", "a, b", "what?", "50% done", "名前", "it's", "[x]*", "a&b", "$HOME", "k=v", 'say "x"']
ALL = Path("Büro & c# samples, 50% done", "what? [x]*", "名前's $HOME k=v")
# Of a person at a company: a proxy that does not answer, a strict mask, a locale without UTF-8, another module path.
SETTINGS = {
    **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy"), "http://127.0.0.1:9"),
    "LC_ALL": "C",
    "TZ": "Asia/Kathmandu",
    "MLFLOW_REGISTRY_URI": "sqlite:////nowhere/registry.db",
    "EDITOR": "false",
}

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(3600)]


def run_and_move(folder, after):
    """Release in `folder`, move it, and use what was released."""
    folder.mkdir(parents=True)
    checkout = Checkout(folder, home=folder / "checkout" / ".perennial")
    person = folder / "person"
    person.mkdir()
    checkout.make()
    (checkout.root / ".venv").symlink_to(Path(sys.prefix))
    settings = SETTINGS | {"HOME": str(person), "PERENNIAL_HOME": ""}
    ran = checkout.release("run", "--params", str(checkout.overlay), **settings)
    assert ran.returncode == 0, output_of(ran)
    assert "version 1 is champion now" in ran.stdout
    assert sorted(path.name for path in person.rglob("*")) == [], "written outside of the project"

    after.parent.mkdir(parents=True, exist_ok=True)
    folder.rename(after)
    moved = Checkout(after, home=after / "checkout" / ".perennial")
    status = moved.dvc("status", "--json", **settings)
    assert {name for name, found in json.loads(status.stdout).items() if found != ["always changed"]} == set()
    for words in (["verify"], ["history"], ["pin"], ["score", "--start", "2025-06-02", "--end", "2025-06-09"]):
        answer = moved.release(*words, **settings)
        assert answer.returncode == 0, output_of(answer)
    assert not folder.exists()
    return moved


def test_a_run_in_a_folder_with_a_hostile_name_which_is_then_moved(tmp_path):
    moved = run_and_move(tmp_path / ALL, tmp_path / "after" / "x, y" / "z#1")
    assert moved.json("data/promote/decision.json")["action"] == "release"


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_a_run_in_each(tmp_path, name):
    moved = run_and_move(tmp_path / name, tmp_path / f"{name} 2")
    assert moved.json("data/promote/decision.json")["action"] == "release"


@pytest.mark.parametrize("target", ["help", "history", "verify"])
def test_make_works_there(tmp_path, target):
    checkout = Checkout(tmp_path / ALL, home=tmp_path / ALL / "checkout" / ".perennial").make()
    for name in (".venv/bin", "data/champion"):  # ready as far as the scripts of set-up look
        (checkout.root / name).mkdir(parents=True)
    for name in ("setup.sh", "prepare_checkout.sh"):
        (checkout.root / "scripts" / name).write_text("#!/bin/sh\n")
    (checkout.root / ".venv" / "bin" / "python").symlink_to(sys.executable)
    for name in ("pyvenv.cfg", "lib"):  # by these Python finds the packages of an environment
        (checkout.root / ".venv" / name).symlink_to(Path(sys.prefix) / name)
    answer = checkout.run("make", target, PERENNIAL_HOME="", PYTHONPATH="/nowhere", PYTHONSAFEPATH="1")
    assert answer.returncode == 0, output_of(answer)
    assert checkout.home.is_dir() or target == "help"
