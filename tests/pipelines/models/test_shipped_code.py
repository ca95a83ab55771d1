"""A registered model loads and predicts with the code that it ships, and nothing else of the repository."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipelines.live.release.preflight import save_model
from pipelines.models.manifest import Manifest
from pipelines.models.predictor import Predictor
from pipelines.stages.evaluate.blend import Blend, write_blend
from tests.factories.blends import write_tiny_pair
from tests.factories.tiny_release import write_tiny_model

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
LABELS = ("card", "debt", "loan")
TEXTS = ["my card was charged twice", "", "a debt that is not mine"]

PREDICT = """
import json, sys, warnings
warnings.simplefilter("ignore")
import mlflow, pandas
model = mlflow.pyfunc.load_model(sys.argv[1])
rows = model.predict(pandas.DataFrame({"text": json.loads(sys.argv[2])}))
used = {name: module.__file__ for name, module in sys.modules.items() if name.split(".")[0] == "pipelines"}
print(json.dumps({"rows": rows.to_dict("records"), "used": used}))
"""


def write_tiny_blend(folder: Path, *, models: Path) -> None:
    folders = write_tiny_pair(models.parent, models=models, labels=LABELS)
    folder.mkdir(parents=True)
    write_blend(folder, Blend(0.3, 1.4, 0, {}), models=folders)
    shutil.copytree(models / Manifest.read(folder).encoder.name, folder / "encoder")


@pytest.mark.parametrize("kind", ["baseline", "blend"])
def test_it_predicts_in_a_process_that_has_only_the_shipped_files(tmp_path, repository, kind):
    package, target = tmp_path / "package", tmp_path / "saved"
    if kind == "blend":
        write_tiny_blend(package / "model", models=tmp_path / "models")
    else:
        write_tiny_model(package / "model", models=tmp_path / "models", labels=LABELS, seed=1)
    save_model(package, target, root=repository, features={})
    expected = Predictor.load(package / "model").predict_proba(pd.DataFrame({"text": TEXTS}))
    moved = target.rename(tmp_path / "elsewhere")

    # -I: neither the working directory nor PYTHONPATH is on the path.
    command = [sys.executable, "-I", "-c", PREDICT, str(moved), json.dumps(TEXTS)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    served = np.array([[row[f"p_{label}"] for label in LABELS] for row in found["rows"]])
    np.testing.assert_allclose(served, expected, atol=1e-6)
    assert found["used"]
    assert all(file is None or str(moved / "code") in file for file in found["used"].values()), found["used"]
    assert len(list((moved / "code").rglob("*.py"))) <= 15
