"""Who moved the champion alias, when, why and between which versions: a hash-chained file in the state root."""

from __future__ import annotations

import os
import pwd
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipelines.runtime.state import append_line, verify_chain

Move = dict[str, Any]


def history_file(state: Path) -> Path:
    """Return the file of the history in a state root."""
    return state / "history.jsonl"


def read_history(state: Path, model_name: str) -> list[Move]:
    """Return the moves of a model's champion alias, oldest first; StoreError when a line was tampered with."""
    return [line for line in verify_chain(history_file(state)) if line["model"] == model_name]


def append_move(state: Path, move: Move) -> Move:
    """Append one move of an alias with its time and return the line."""
    return append_line(
        history_file(state), {**move, "when": datetime.now(UTC).isoformat(timespec="seconds")}, chained=True
    )


def user_name() -> str:
    """Return the name of the user of this process, or `uid N` in containers where the user has no name."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def champions(moves: list[Move]) -> list[int]:
    """Return the versions that rollbacks can walk back through, the present champion last.

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


def rolled_back(moves: list[Move], *, version: int) -> Move | None:
    """Return the move that rolled a version back, if that is the last thing that happened to it."""
    own = [move for move in moves if version in (move["from"], move["to"])]
    last = own[-1] if own else None
    return last if last is not None and last["action"] == "rollback" and last["from"] == version else None
