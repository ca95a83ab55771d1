"""Reject private English in tracked text: `python scripts/check_language.py [FILE ...]`.

Each rule is a regular expression and what to write instead. Words in quoted texts that are data are not checked, and
the few other real uses are in the allow list, each with its reason. Prints `file:line: phrase -> replacement` and
exits with 1 when it finds anything.
"""

from __future__ import annotations

import fnmatch
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
SUFFIXES = {".py", ".md", ".yaml", ".yml", ".j2", ".html", ".css", ".sh", ".toml", ".sql"}
NAMES = {"Makefile", "run"}
SKIPPED = ("scripts/check_language.py", "tests/contract/test_language.py", "requirements/*", "*/simulator.yaml")
# Strings of these files are simulated or real texts of people; their comments, docstrings and names are checked.
DATA_FILES = ("*/simulator*", "*/labeling_functions.py", "*/behaviors.py", "tests/*", "benchmarks/texts.py")

UNIT = "(?:day|week|month|year|stage|column|record|row|page|request|domain|file|run|class|label|function|task|text)"
PLURAL = "(?:rows|records|texts|lines|bytes|hours|minutes|seconds|complaints|requests|weeks|days|columns|tasks|bins)"


class Rule(NamedTuple):
    """What is rejected, and what to write instead."""

    pattern: re.Pattern[str]
    instead: str


def rule(expression: str, instead: str) -> Rule:
    """Return a rule whose words may be parts of identifiers, but not of longer words."""
    return Rule(re.compile(rf"(?<![A-Za-z])(?:{expression})(?![A-Za-z])", re.IGNORECASE), instead)


RULES = (
    rule("knobs?", "parameter(s)"),
    rule("would be right", "expected ..."),
    rule(
        r"(?<!there )(?:is|are|was|were|isn't) no(?= (?!(?:longer|more|less|fewer|later|earlier|better|worse|different)\b))",
        "is not a ..., invalid ..., unknown ...",
    ),
    rule("(?<!there )(?:is|are) (?-i:none)(?: of)?|what is no", "is not one of, is not a"),
    rule("cheap(?:er|est|ly)?", "baseline (model), inexpensive, fast"),
    rule("dear(?:er|est|ly)?", "fine-tuned (model), costly"),
    rule(r"favour\w*", "favorable outcome, favor"),
    rule(r"behaviour\w*|normalis\w+|colour\w*|labell\w+|judgement|recognis\w+|organis\w+", "the American spelling"),
    rule("mend(?:s|ed|ing)?", "fix, repair"),
    rule("told|said|says|tells|teller", "reported, message, states, reporter"),
    rule(r"(?<!\.)(?:tell|say)(?=\()|(?:tell|say)_\w+", "report, notify, log"),
    rule(r"stands?(?! for\b)(?=[ ,.;:)])|as it stood", "is in, is next to"),
    rule(rf"(?:{PLURAL}|\bone (?!that|is|in|of|as|for|when|and)\w+|\d s) an? {UNIT}", "per ..."),
    rule("(?:laid|lay|lays|lies|laying) (?:over|under|on top)|overlaid", "override, overrides"),
    rule(
        r"(?:a|one|each|every|first|second|last|this) look(?! (?:at|into|for))|looked at|looks(?=[\[\]=),.:]| in )"
        r"|look(?=[.=\[):])|look_(?!up|ahead|behind|around)\w+|looks_\w+",
        "evaluation, check",
    ),
    rule(r"judge(?:s|d)?|judging", "evaluate, check, decide"),
    rule(
        r"fates?|thaw\w*|sabotage\w*|(?:story|stories)|\bfly(?=\()", "row outcomes, restore, fault injection, scenario"
    ),
    rule(r"(?<!a )lots?(?! of)", "hash bucket"),
    rule("whoever|nobody|of it|beside|anew|thrice", "rephrase in plain words"),
    rule("cr(?:y|ies|ied) wolf", "false alarm"),
    rule("world (?:has|had) moved|moved world|world moves?", "input drift"),
    rule("pipe (?:broke|breaks|is broken)", "upstream failure"),
    rule(r"reckon\w*|crept", "compute, drift"),
)

# (paths, pattern on the line, reason)
ALLOWED = (
    ("*/labeling_functions.py", r"says_\w+", "names of labeling functions, which are part of their outputs"),
    ("*.j2", r"is (?:not )?none", "a test of Jinja"),
    ("benchmarks/serving.py", "^TEXT = .*", "a simulated complaint"),
    ("*", r"stands?-in|stand-?alone|stand out|stand up", "other words"),
    ("*", r"optuna\w*.*\btell\(|\.tell\(|\.seek\(", "method names of other libraries"),
    ("*", r"matplotlib|seaborn|fillcolour", "names of other libraries"),
)


def tracked() -> list[Path]:
    """Return the tracked text files."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [Path(name) for name in listed.split("\0") if name and is_text(Path(name))]


def is_text(file: Path) -> bool:
    """Return whether the file is one that people read."""
    checked = file.suffix in SUFFIXES or file.name in NAMES or "Dockerfile" in file.name
    return checked and not any(fnmatch.fnmatch(str(file), skipped) for skipped in SKIPPED)


def without_data(source: str) -> str:
    """Return Python source with the contents of its strings blanked, docstrings excepted; lines stay where they are."""
    lines = source.splitlines(keepends=True)
    before = tokenize.NEWLINE
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        starts = before in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.NL, tokenize.COMMENT)
        if token.type in (tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", -1)) and not (
            starts and token.string.startswith(('"""', 'r"""'))
        ):
            for number in range(token.start[0] - 1, token.end[0]):
                begin = token.start[1] if number == token.start[0] - 1 else 0
                end = token.end[1] if number == token.end[0] - 1 else len(lines[number].rstrip("\n"))
                lines[number] = lines[number][:begin] + "_" * (end - begin) + lines[number][end:]
        before = token.type
    return "".join(lines)


def findings(text: str, *, path: str) -> Iterator[tuple[int, str, str]]:
    """Yield (line number, phrase, replacement) of each rejected phrase in a text; `path` selects the allowed uses."""
    if path.endswith(".py") and any(fnmatch.fnmatch(path, pattern) for pattern in DATA_FILES):
        text = without_data(text)
    allowed = [re.compile(line, re.IGNORECASE) for paths, line, _ in ALLOWED if fnmatch.fnmatch(path, paths)]
    for number, line in enumerate([path.replace("/", " "), *text.splitlines()]):
        for found in RULES:
            for match in found.pattern.finditer(line):
                if not any(hit.start() <= match.start() < hit.end() for each in allowed for hit in each.finditer(line)):
                    yield number, match.group(), found.instead


def main(names: list[str]) -> int:
    """Check the files named, or all tracked ones, and return the exit code."""
    count = 0
    for file in [Path(name) for name in names] or tracked():
        for number, phrase, instead in findings((ROOT / file).read_text(encoding="utf-8"), path=str(file)):
            count += 1
            sys.stdout.write(f"{file}:{number}: {phrase.strip()} -> {instead}\n")
    if count:
        sys.stdout.write(f"{count} phrases to replace\n")
    return int(count > 0)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
