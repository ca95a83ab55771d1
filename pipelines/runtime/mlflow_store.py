"""A client of MLflow with stated settings: few retries, one address for runs and versions, any folder name."""

from __future__ import annotations

import logging
import os
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient


def open_client(uri: str) -> MlflowClient:
    """Return a client of the store at `uri`, which variables such as MLFLOW_REGISTRY_URI do not move."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    warnings.filterwarnings("ignore", module="mlflow")
    for name in ("mlflow", "mlflow.store.db.utils", "mlflow.utils.environment", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    from mlflow import MlflowClient

    allow_percent()
    return MlflowClient(uri, registry_uri=uri)


def allow_percent() -> None:
    """Let MLflow set up its database from an environment whose path holds a percent sign.

    MLflow escapes it in the address of the database and not in the folder of its migrations (3.17).
    """
    from alembic.config import Config

    set_option = Config.set_main_option
    if set_option.__module__ == __name__:
        return

    def set_main_option(self: Config, name: str, value: Any) -> None:
        set_option(self, name, value.replace("%%", "%").replace("%", "%%") if name == "script_location" else value)

    Config.set_main_option = set_main_option  # type: ignore[method-assign]
