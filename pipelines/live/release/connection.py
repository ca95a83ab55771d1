"""The connection to an MLflow store, and messages about it that show no credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlparse

from pipelines.runtime.errors import PerennialError
from pipelines.runtime.mlflow_store import open_client

if TYPE_CHECKING:
    from mlflow import MlflowClient


def connect(uri: str) -> MlflowClient:
    """Return an MLflow client; PerennialError names a registry that does not answer within seconds."""
    import mlflow
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        mlflow.set_tracking_uri(uri)
        client = open_client(uri)
        client.search_registered_models(max_results=1)
    except (MlflowException, SQLAlchemyError, OSError) as error:
        message = without_credentials(str(error).splitlines()[0], uri=uri)[:200]
        raise PerennialError(
            f"the registry {shown(uri)} cannot be reached: {message}. Nothing was released. "
            "Check MLFLOW_TRACKING_URI, or unset it to use the one in the state root"
        ) from error
    return client


def without_credentials(text: str, *, uri: str) -> str:
    """Return the text without the credentials of the address `uri`: libraries repeat them in their messages."""
    netloc = urlparse(uri).netloc
    return text.replace(netloc.rsplit("@", 1)[0] + "@", "") if "@" in netloc else text


def shown(uri: str) -> str:
    """Return an address without its credentials."""
    return without_credentials(uri, uri=uri)
