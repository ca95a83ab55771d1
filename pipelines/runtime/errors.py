"""Errors that a person can act on, each with the exit code of its process."""

from __future__ import annotations

from typing import ClassVar


class PerennialError(Exception):
    """An error whose text names the file, the value and what is accepted; shown without a traceback."""

    exit_code: ClassVar[int] = 1


class ParamsError(PerennialError):
    """A parameter is missing, unknown or out of range."""

    exit_code = 64


class GateClosed(PerennialError):
    """A gate before this stage is closed, so the stage refuses to start."""

    exit_code = 65


class InputError(PerennialError):
    """Input data or an artifact cannot be used as it is."""

    exit_code = 66


class StoreError(PerennialError):
    """A file could not be read or written; nothing was left half-written."""

    exit_code = 74
