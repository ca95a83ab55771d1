"""No test measures time: a busy machine is slow, and that is not a fault of the code."""

import ast

import pytest

from tests.conftest import ROOT

CLOCKS = {"monotonic", "perf_counter", "monotonic_ns", "perf_counter_ns"}

DRAWN_AGAIN = "tests/smoke/test_kills.py"  # its kill goes through DVC, at a moment that is drawn until it hits


def measured(tree: ast.AST) -> list[int]:
    """Lines that subtract from a clock, `time.monotonic() - began`; a deadline, `time.monotonic() < until`, is allowed."""
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Sub)
        and any(isinstance(part, ast.Attribute) and part.attr in CLOCKS for part in ast.walk(node.left))
    ]


@pytest.mark.parametrize(("code", "found"), [("assert time.monotonic() - began < 5", [1]), ("x = n - 1", [])])
def test_it_finds_a_measured_duration(code, found):
    assert measured(ast.parse(code)) == found


def test_no_test_measures_time():
    files = [*(ROOT / "tests").rglob("*.py")]
    assert files
    found = {str(file.relative_to(ROOT)): lines for file in files if (lines := measured(ast.parse(file.read_text())))}
    assert set(found) <= {DRAWN_AGAIN}
