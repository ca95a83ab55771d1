"""Both images are built for real with buildah on a Debian base, and each runs its main command as the non-root user."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("buildah", "debootstrap")
pytestmark = [pytest.mark.images, pytest.mark.long, pytest.mark.timeout(3600), pytest.mark.enable_socket]


def buildah(*arguments: str) -> str:
    """Run buildah without a daemon and without privileges it may not have; its output on success."""
    environment = {**os.environ, "BUILDAH_ISOLATION": "chroot", "STORAGE_DRIVER": "vfs"}
    done = subprocess.run(["buildah", *arguments], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"buildah {' '.join(arguments)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def build(name: str, base: str, *arguments: str) -> str:
    """Build one of the Dockerfiles on the base, with the machine's own package settings mounted read-only."""
    mounts = []
    for path in ("/etc/pip.conf", "/etc/ssl/certs", "/opt/wheels", "/opt/pypi", "/opt/pypi-more", "/etc/apt"):
        if Path(path).exists():
            mounts += ["-v", f"{path}:{path}:ro"]
    buildah(
        *("bud", "--network", "host", "--build-arg", f"BASE={base}", *mounts, *arguments),
        *("-f", str(ROOT / "docker" / f"{name}.Dockerfile"), "-t", f"perennial-{name}", str(ROOT)),
    )
    return f"perennial-{name}"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Debian base with Python 3.11, made by debootstrap."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing or os.geteuid() != 0:
        pytest.skip(f"images: {', '.join(missing) or 'root'} is needed (apt-get install buildah debootstrap, as root)")
    folder = tmp_path_factory.mktemp("base") / "root"
    packages = "python3,python3-venv,ca-certificates,bash"
    subprocess.run(
        ["debootstrap", "--variant=minbase", f"--include={packages}", "bookworm", str(folder)],
        check=True,
        capture_output=True,
    )
    container = buildah("from", "scratch").strip()
    buildah("add", container, str(folder), "/")
    for key in ("PIP_FIND_LINKS", "UV_FIND_LINKS", "PIP_CERT", "SSL_CERT_FILE"):  # this machine's package settings
        if os.environ.get(key):
            buildah("config", "--env", f"{key}={os.environ[key]}", container)
    buildah("commit", container, "perennial-base")
    buildah("rm", container)
    shutil.rmtree(folder)
    return "localhost/perennial-base"


def run(image: str, *command: str) -> str:
    """Run a command in a built image, as its own user."""
    container = buildah("from", f"localhost/{image}").strip()
    try:
        return buildah("run", "--network", "none", "--user", "perennial", container, "--", *command)
    finally:
        buildah("rm", container)


def test_orchestrator_runs_airflow_and_parses_the_dags(base: str) -> None:
    image = build("orchestrator", base)
    assert run(image, "airflow", "version").strip().startswith("3.3")
    parsed = run(image, "bash", "-c", "cd /opt/perennial && for f in dags/*.py; do python $f || exit 1; done; id -un")
    assert parsed.strip().endswith("perennial")


def test_trainer_reproduces_the_first_stages_as_its_own_user(base: str) -> None:
    image = build("trainer", base, "--build-arg", "TORCH_BACKEND=none")
    script = "cd /opt/perennial && id -un && scripts/prepare_checkout.sh && dvc repro bias_gate"
    printed = run(image, "bash", "-c", script)
    assert printed.startswith("perennial")
    assert "Running stage 'bias_gate'" in printed
