"""Run a DAG to its end without any Airflow component: `python one_run.py DAG_FILE DAG_ID [CONF] [LOGICAL_DATE]`."""

import json
import sys
from datetime import UTC, datetime

from airflow.dag_processing.dagbag import DagBag


def main(file, dag_id, conf="{}", end=None):
    bag = DagBag(file)
    assert not bag.import_errors, bag.import_errors
    dag = bag.dags[dag_id]
    date = datetime.fromisoformat(end).replace(tzinfo=UTC) if end else None
    run = dag.test(run_conf=json.loads(conf), logical_date=date)
    print("STATES " + json.dumps({"run": run.state, **{ti.task_id: str(ti.state) for ti in run.get_task_instances()}}))


if __name__ == "__main__":
    main(*sys.argv[1:])
