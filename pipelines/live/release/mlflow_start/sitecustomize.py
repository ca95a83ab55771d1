"""Python runs this at the start of each of MLflow's server processes, which are not ours to change otherwise."""

from pipelines.runtime.mlflow_store import allow_percent

allow_percent()
