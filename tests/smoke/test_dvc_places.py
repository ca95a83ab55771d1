"""`.dvc/config.local` as DVC reads it: any folder name, a moved checkout, and what a person added."""

import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMES = ["Büro", "c# samples", "a, b", "50% done", "it's", 'say "x"', "[x]", "$HOME", "back\\slash", "a = b"]


@pytest.fixture
def settings(monkeypatch):
    """The function of the script that makes the text of the file."""
    monkeypatch.setattr(sys, "path", [str(ROOT / "scripts"), *sys.path])
    return runpy.run_path(str(ROOT / "scripts" / "dvc_places.py"))


def read(text):
    """The text as DVC reads it."""
    from configobj import ConfigObj

    return ConfigObj(text.splitlines()).dict()


@pytest.mark.parametrize("name", NAMES)
def test_a_state_root_elsewhere_keeps_its_name(settings, name):
    home = Path("/srv") / name
    found = read(settings["settings"](settings["NEW"], home))
    assert found["cache"]["dir"] == str(home / "dvc-cache")
    assert found['remote "home"'] == {"url": str(home / "dvc-remote")}
    assert found["core"] == {"remote": "home"}


def test_one_below_the_checkout_is_relative_so_that_it_moves_along(settings):
    found = read(settings["settings"](settings["NEW"], ROOT / ".perennial"))
    assert found["cache"]["dir"] == "../.perennial/dvc-cache"


def test_another_place_changes_places_and_nothing_else(settings):
    chosen = "['remote \"s3\"']\n    url = s3://bucket/x\n    access_key_id = secret\n"
    before = settings["settings"](settings["NEW"], Path("/old")) + chosen
    after = read(settings["settings"](before, Path("/new")))
    assert after["cache"]["dir"] == "/new/dvc-cache"
    assert after['remote "s3"'] == {"url": "s3://bucket/x", "access_key_id": "secret"}
    again = settings["settings"](before, Path("/old"))
    assert again == before


def test_the_page_of_plots_is_replaced_where_it_is_gone(settings, tmp_path):
    page = tmp_path / "page.html"
    page.write_text("x")
    settings["settings"].__globals__["PAGE"] = page
    text = settings["settings"](settings["NEW"] + "[plots]\n    html_template = /gone/page.html\n", tmp_path)
    assert read(text)["plots"] == {"html_template": str(page)}
    chosen = tmp_path / "chosen.html"
    chosen.write_text("x")
    kept = settings["settings"](text.replace(str(page), str(chosen)), tmp_path)
    assert read(kept)["plots"] == {"html_template": str(chosen)}
