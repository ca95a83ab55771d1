"""A project is opened once from a checkout and an environment, and nothing else is asked afterwards."""

import subprocess

import pytest

from pipelines.runtime.errors import ParamsError, StoreError
from pipelines.runtime.project import Project


@pytest.fixture
def checkout(tmp_path):
    """A minimal checkout: params.yaml and a domain with parameters of its own."""
    root = tmp_path / "checkout"
    (root / "shop").mkdir(parents=True)
    (root / "params.yaml").write_text("domain: shop\nresources: {threads: 1, seed: 3}\nrelease: {}\n")
    (root / "shop" / "params.yaml").write_text("{}\n")
    return root


def test_state_is_next_to_the_checkout_without_git_and_absolute_where_it_is_named(checkout, tmp_path):
    assert Project.open(checkout, {}).state == checkout / ".perennial"
    named = Project.open(checkout, {"PERENNIAL_HOME": str(tmp_path / "state")})
    assert named.state == tmp_path / "state"
    assert named.tracking_uri == f"sqlite:///{tmp_path / 'state' / 'mlflow.db'}"
    with pytest.raises(StoreError, match="PERENNIAL_HOME = 'here'"):
        Project.open(checkout, {"PERENNIAL_HOME": "here"})
    for place in (checkout / "params.yaml", checkout / "params.yaml" / "state"):
        with pytest.raises(StoreError, match=r"PERENNIAL_HOME.*a file is there"):
            Project.open(checkout, {"PERENNIAL_HOME": str(place)})


def test_a_worktree_shares_the_state_of_its_main_checkout(checkout, tmp_path):
    git = ["git", "-C", str(checkout), "-c", "user.name=t", "-c", "user.email=t@localhost"]
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "as it is"]):
        subprocess.run([*git, *words], check=True)
    subprocess.run([*git, "worktree", "add", "--quiet", str(tmp_path / "other")], check=True)
    assert Project.open(tmp_path / "other", {}).state == Project.open(checkout, {}).state == checkout / ".perennial"


def test_places_are_absolute_wherever_the_process_is(checkout, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    project = Project.open(checkout, {"PERENNIAL_MODELS": "models", "PERENNIAL_DATA": "feeds"})
    assert project.models_folder == checkout / "models"
    assert project.data_folder == checkout / "feeds"
    assert project.store.folder == checkout / "data"
    assert project.domain_folder == checkout / "shop"
    assert Project.open(checkout, {}).models_folder is None
    assert Project.open(checkout, {}).data_folder == checkout


def test_parameters_are_read_once(checkout):
    project = Project.open(checkout, {})
    (checkout / "params.yaml").write_text("domain: [")
    assert project.resources.seed == 3
    with pytest.raises(ParamsError):
        Project.open(checkout, {})


def test_the_registered_model_is_named_after_the_domain_unless_it_has_a_name(checkout):
    assert Project.open(checkout, {}).model_name == "perennial-shop"
    text = (checkout / "params.yaml").read_text()
    (checkout / "params.yaml").write_text(text.replace("release: {}", "release: {model_name: tills}"))
    assert Project.open(checkout, {}).model_name == "tills"
    (checkout / "params.yaml").write_text(text.replace("release: {}", "release: {model_name: a/b}"))
    with pytest.raises(ParamsError, match=r"release\.model_name = 'a/b'"):
        _ = Project.open(checkout, {}).model_name
