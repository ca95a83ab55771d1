"""Tasks of a run: prepare a workspace, run a stage, ask a person, release, record, clean up."""

from .approve import ApproveOperator
from .base import WorkspaceOperator
from .command import CommandOperator, ReleaseOperator
from .finish import CleanupOperator, RecordOperator
from .prepare import PrepareOperator, check_graph
from .stage import DvcStageOperator, VerdictLink

__all__ = [
    "ApproveOperator",
    "CleanupOperator",
    "CommandOperator",
    "DvcStageOperator",
    "PrepareOperator",
    "RecordOperator",
    "ReleaseOperator",
    "VerdictLink",
    "WorkspaceOperator",
    "check_graph",
]
