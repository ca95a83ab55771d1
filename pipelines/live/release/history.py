"""Who moved the champion alias, when, why and between which versions: a hash-chained file in the state root."""

from __future__ import annotations

import json
import os
import pwd
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipelines.runtime.errors import StoreError
from pipelines.runtime.signing import Key
from pipelines.runtime.state import append_line, locked, verify_chain, write_atomic

Move = dict[str, Any]
HISTORY = "history"  # what a signature with a key is for


def history_file(state: Path) -> Path:
    """Return the file of the history in a state root."""
    return state / "history.jsonl"


def read_history(state: Path, model_name: str, *, key: Key | None = None) -> list[Move]:
    """Return the moves of a model's champion alias, oldest first; StoreError when a line was tampered with.

    With a key the lines must be signed too, see `check_signatures`.
    """
    lines = verify_chain(history_file(state))
    if key is not None:
        check_signatures(lines, key=key, file=history_file(state))
    return [line for line in lines if line["model"] == model_name]


def check_signatures(lines: list[Move], *, key: Key, file: Path) -> None:
    """Raise StoreError for a line whose signature is not the key's, and for unsigned lines at the end.

    A signed line protects all lines before it, because its hash covers theirs: lines that were written before there was
    a key stay valid.
    """
    signed = False
    for number, line in enumerate(lines, start=1):
        if key.accepts(HISTORY, line["hash"], line.get("signature")):
            signed = True
        elif signed or "signature" in line:
            raise StoreError(f"{file}, line {number} is not signed with the key {key.file}")
    if lines and not signed:
        raise StoreError(
            f"{file} is not signed with the key {key.file}: when it was written without a key and `make verify` without "
            "the key is green, `python -m pipelines sign` signs it"
        )


def sign_last(state: Path, *, key: Key) -> None:
    """Sign the last line of the history, and drop the signatures of another key from the lines before it."""
    file = history_file(state)
    with locked(file):
        lines = verify_chain(file)
        if not lines:
            return
        for line in lines:
            if not key.accepts(HISTORY, line["hash"], line.get("signature")):
                line.pop("signature", None)
        first = next((number for number, line in enumerate(lines) if "signature" in line), len(lines) - 1)
        for line in lines[first:]:
            line["signature"] = key.sign(HISTORY, line["hash"])
        text = "".join(json.dumps(line, sort_keys=True, ensure_ascii=False) + "\n" for line in lines)
        write_atomic(file, text.encode())


def append_move(state: Path, move: Move, *, key: Key | None = None) -> Move:
    """Append one move of an alias with its time, signed when there is a key, and return the line."""
    return append_line(
        history_file(state),
        {**move, "when": datetime.now(UTC).isoformat(timespec="seconds")},
        chained=True,
        sign=None if key is None else lambda digest: key.sign(HISTORY, digest),
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
