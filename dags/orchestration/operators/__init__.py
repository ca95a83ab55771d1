"""Tasks of a run: prepare a workspace, run a stage, ask for approval, release, record, clean up."""

from .approve import ApproveOperator
from .base import WorkspaceOperator
from .command import CommandOperator, ReleaseOperator
from .finish import CleanupOperator, OutcomeOperator, RecordOperator, Report
from .prepare import PrepareOperator
from .stage import DvcStageOperator, VerdictLink

__all__ = [
    "ApproveOperator",
    "CleanupOperator",
    "CommandOperator",
    "DvcStageOperator",
    "OutcomeOperator",
    "PrepareOperator",
    "RecordOperator",
    "ReleaseOperator",
    "Report",
    "VerdictLink",
    "WorkspaceOperator",
]
