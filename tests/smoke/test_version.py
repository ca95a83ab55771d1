"""The registered version: complete, without a pickle, answering as evaluated, without repository and network."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pandas as pd
import pytest

from tests.factories.checkout import output_of

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(3600)]

ANSWER = """
import json, socket, sys
import pandas as pd

def refuse(*_, **__):
    raise AssertionError("the network was asked")

socket.socket.connect = refuse
import mlflow.pyfunc

model = mlflow.pyfunc.load_model(sys.argv[1])
answer = model.predict(pd.read_json(sys.argv[2], orient="records", dtype=False))
answer.to_json(sys.argv[3], orient="records", double_precision=15)
import pipelines.models
assert sys.argv[1] in pipelines.models.__path__[0], pipelines.models.__path__
"""


@pytest.fixture(scope="module")
def version(released):
    """Folder of version 1 as MLflow saved it, and recent records with the probabilities that evaluate found."""
    [folder] = {file.parent for file in (released.home / "artifacts").rglob("MLmodel")}
    decision = released.json("data/promote/decision.json")
    manifest = json.loads((folder / "artifacts" / "package" / "manifest.json").read_text())
    assert manifest["model_digest"] == decision["model_digest"]
    split = pd.read_parquet(released.root / "data/split/records.parquet")
    known = pd.read_parquet(released.root / "data/evaluate/predictions.parquet")
    known = known[(known["part"] == "recent") & (known["candidate"] == manifest["candidate"])].head(20)
    features = [
        column["name"]
        for column in json.loads((folder / "artifacts/package/model/predictor.json").read_text())["features"]
    ]
    records = known[["id"]].merge(split, on="id")[["text", *features]]
    return folder, json.loads(records.to_json(orient="records")), known


def outside(folder: Path) -> dict[str, str]:
    """An environment that knows nothing of the repository."""
    keep = {name: value for name, value in os.environ.items() if name in ("HOME", "LANG", "TMPDIR")}
    return keep | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}/usr/bin:/bin", "PERENNIAL_HOME": str(folder)}


def test_it_holds_everything_and_no_pickle(version):
    folder, _, _ = version
    package = folder / "artifacts" / "package"
    names = {file.relative_to(package).as_posix() for file in package.rglob("*") if file.is_file()}
    wanted = {"manifest.json", "anchor.parquet", "anchor_best.parquet", "trained_ids.parquet", "model/predictor.json"}
    wanted |= {"model/encoder/model.safetensors", "evidence/params.yaml", "evidence/dvc.lock"}
    wanted |= {"evidence/promote.decision.json", "evidence/model_card.html", "evidence/bias_gate.verdict.json"}
    assert wanted <= names
    assert not [name for name in names if name.endswith((".pkl", ".pickle", ".joblib", ".bin", ".pt"))]
    for file in folder.rglob("*"):
        if file.is_file() and file.suffix not in (".safetensors", ".parquet", ".pyc"):
            assert not file.read_bytes().startswith(b"\x80\x04"), f"{file} looks like a pickle"


def test_it_answers_alone_in_a_fresh_process(version, tmp_path):
    folder, records, known = version
    (tmp_path / "records.json").write_text(json.dumps(records))
    (tmp_path / "answer.py").write_text(ANSWER)
    command = [sys.executable, "answer.py", str(folder), "records.json", "answer.json"]
    answer = subprocess.run(command, cwd=tmp_path, env=outside(tmp_path), capture_output=True, text=True)
    assert answer.returncode == 0, output_of(answer)
    found = pd.read_json(tmp_path / "answer.json", orient="records")
    assert found["label"].tolist() == known["label"].tolist()
    columns = [name for name in known if name.startswith("p_")]
    assert abs(found[columns].to_numpy() - known[columns].to_numpy()).max() < 1e-6


@pytest.mark.server
@pytest.mark.enable_socket
def test_mlflow_serves_it(version, tmp_path):
    folder, records, known = version
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", str(folder), "--env-manager", "local"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(
            command, cwd=tmp_path, env=outside(tmp_path), stdout=log, stderr=log, start_new_session=True
        )
    try:
        until = time.monotonic() + 300
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=5).read()
                break
            except OSError:
                assert server.poll() is None and time.monotonic() < until, (tmp_path / "log").read_text()
                time.sleep(0.5)
        body = json.dumps({"dataframe_records": records}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/invocations", data=body, headers={"Content-Type": "application/json"}
        )
        answer = json.loads(urllib.request.urlopen(request, timeout=120).read())
    finally:
        os.killpg(server.pid, 15)
        server.wait(30)
    assert [row["label"] for row in answer["predictions"]] == known["label"].tolist()


def test_a_slow_model_is_not_registered(released, tmp_path):
    checkout = released.copy(tmp_path)
    checkout.edit("params.yaml", lambda params: params["release"].update(max_p95_single_ms=0.001))
    answer = checkout.release("apply")
    assert answer.returncode == 65, output_of(answer)
    assert "pre-flight failed, nothing was registered: " in answer.stderr
    assert "p95_single_ms" in answer.stderr
    assert json.loads(checkout.release("history", "--json").stdout) == []
    assert not list((checkout.home / "artifacts").rglob("MLmodel"))
