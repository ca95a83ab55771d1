"""# retrain

Replaces the real DAG in tests about what triggers it and how often: the same form, and it does nothing.
"""

from datetime import datetime

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG
from orchestration.request import run_params

with DAG("retrain", schedule=None, start_date=datetime(2026, 1, 5), params=run_params(), doc_md=__doc__):
    EmptyOperator(task_id="trained")
