"""Whether the sentence of a check is true of its numbers."""

from __future__ import annotations

import re

from pipelines.gates.verdict import Check

NOT_A_NUMBER = re.compile(r"\b(nan|inf|infinity|None)\b|nan%", re.IGNORECASE)
RATES = re.compile(r"(\d+\.\d)% of .+ and (\d+\.\d)% of |\((\d+\.\d)% and (\d+\.\d)%\)")
POINTS = re.compile(r"(\d+\.\d) points")
GROUP_ROWS = re.compile(r"the smaller group has (\d+) (?:such )?rows, at least (\d+) needed")
DIFFERENCES = ("equal_opportunity", "equalized_odds", "weighted_parity")


def problems(check: Check) -> list[str]:
    """Return what is wrong with a check's sentence, empty if it is true of the check's numbers."""
    sentence, found = check.sentence, []
    if NOT_A_NUMBER.search(sentence):
        found.append("a number is not one")
    if "harmed" in sentence and not _beyond(check):
        found.append("harm is named without evidence")
    if "undecided" in sentence and check.outcome != "undecided":
        found.append(f"undecided in words, {check.outcome} in the verdict")
    if any(word in sentence for word in ("undefined", "no difference can be measured")) and check.value is not None:
        found.append("undefined in words, a value in the verdict")
    if check.value is None and check.outcome == "passed":
        found.append("nothing was measured, and it passed")
    if any(name in check.name for name in DIFFERENCES) and "%" in sentence:
        found.append("a difference in percent")
    return found + _numbers(check)


def _beyond(check: Check) -> bool:
    """Return whether the whole interval is beyond the limit."""
    if check.outcome != "failed" or check.value is None or check.interval is None or isinstance(check.limit, tuple):
        return False
    low, high = check.interval
    return bool(high < check.limit if check.side == "at_least" else low > check.limit)


def _numbers(check: Check) -> list[str]:
    """Return the numbers of a sentence that are not those of the check."""
    found, sentence = [], check.sentence
    if check.value is not None and (rates := RATES.search(sentence)):
        low, high = sorted(float(rate) for rate in rates.groups() if rate is not None)
        least, most = max(low - 0.06, 0) / (high + 0.06), min((low + 0.06) / max(high - 0.06, 1e-9), 1)
        if not least - 1e-6 <= check.value <= most + 1e-6:
            found.append(f"rates of {low} and {high} %, a ratio of {check.value:.4f}")
    points = POINTS.search(sentence) if check.name.split(":")[0] in DIFFERENCES and check.value is not None else None
    if points and abs(float(points.group(1)) - 100 * abs(check.value or 0)) > 0.06:
        found.append(f"{points.group(0)}, a difference of {check.value:.4f}")
    if rows := GROUP_ROWS.search(sentence):
        if (int(rows.group(1)), int(rows.group(2))) != (check.rows, check.min_rows):
            found.append(f"{rows.group(0)}, the check has {check.rows} of {check.min_rows}")
    elif check.outcome == "undecided" and check.required and check.rows < check.min_rows and ":" in check.name:
        found.append(f"{check.rows} of {check.min_rows} rows, and the sentence does not say so")
    return found
