"""Who moved the champion alias, when, why, from what to what: an append-only, hash-chained file in the state root."""

from __future__ import annotations

import os
import pwd
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipelines.runtime.state import append_line, home, verify_chain


def history_file() -> Path:
    """Where the history stands."""
    return home() / "history.jsonl"


def read_history(model_name: str) -> list[dict[str, Any]]:
    """Moves of this model's champion alias, oldest first; StoreError when a line was tampered with."""
    return [line for line in verify_chain(history_file()) if line["model"] == model_name]


def record_move(
    *, model_name: str, action: str, old: int | None, new: int, reason: str, evidence: dict[str, Any]
) -> dict[str, Any]:
    """Append one move of the alias and return its line."""
    return append_line(
        history_file(),
        {
            "model": model_name,
            "action": action,
            "from": old,
            "to": new,
            "who": _who(),
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
            "why": reason,
            "evidence": evidence,
        },
        chained=True,
    )


def _who() -> str:
    """Who acts: `PERENNIAL_ACTOR`, else the user of this process, who has no name in some containers."""
    try:
        return os.environ.get("PERENNIAL_ACTOR") or pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def champions(moves: list[dict[str, Any]]) -> list[int]:
    """Versions that a rollback can walk back through, the present champion last.

    A release puts its version on top; a rollback takes the present one off. So two rollbacks in a row go two champions
    back, and never to a version that was itself rolled back.
    """
    stack: list[int] = []
    for move in moves:
        if move["action"] == "rollback":
            while stack and stack[-1] != move["to"]:
                stack.pop()
            if not stack:
                stack.append(move["to"])
        elif not stack or stack[-1] != move["to"]:
            stack.append(move["to"])
    return stack


def taken_back(moves: list[dict[str, Any]], *, version: int) -> dict[str, Any] | None:
    """The line that rolled this version back, where that is the last thing that happened to it."""
    own = [move for move in moves if version in (move["from"], move["to"])]
    last = own[-1] if own else None
    return last if last is not None and last["action"] == "rollback" and last["from"] == version else None
