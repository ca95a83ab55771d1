"""# retrain

Replaces the real DAG in tests about what triggers it and how often: the same form, and it does nothing but report that
the champion was kept.
"""

import os
import subprocess
from datetime import datetime
from pathlib import Path

from airflow.sdk import DAG, task
from orchestration.request import run_params

ROOT = Path(os.environ.get("PERENNIAL_ROOT") or Path(__file__).resolve().parents[1])

with DAG("retrain", schedule=None, start_date=datetime(2026, 1, 5), params=run_params(), doc_md=__doc__):

    @task
    def trained(params=None, run_id=None):
        """Report as the clean-up of the real DAG does."""
        if params["key"]:
            python = Path(os.environ["PERENNIAL_TOOLS"]) / "python"
            options = [f"--key={params['key']}", f"--run-id={run_id}", "--outcome=kept", "--minutes=15"]
            subprocess.run([python, "-m", "pipelines", "drift", "settle", *options], cwd=ROOT, check=True)

    trained()
