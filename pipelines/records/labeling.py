"""Labeling functions (a pattern, an expression over columns or plain Python), evaluated into one vote matrix.

A declarative function is evaluated by column with polars, on text that is lowered once for all of them; a plain
Python one sees one record after the other. A function that raises stops the stage: a failure is not an abstention.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

from pipelines.runtime.errors import InputError

ABSTAIN = -1
HIDDEN_COLUMNS = ("gold", "gold_at", "part")  # what measures the labels may not make them
LOWERED = "_lower"  # suffix: an expression finds lowered text in `text_lower`

Record = Mapping[str, Any]
Fires = pl.Expr | Callable[[pl.DataFrame], "pl.Series | pl.Expr"]


class LabelingFunctionError(InputError):
    """A labeling function that is declared wrongly, raises, or votes for a label that the domain does not have."""


@dataclass(frozen=True, eq=False)
class LabelingFunction:
    """One source of votes, with an example that it fires on and one that it abstains on."""

    name: str
    label: str | None
    fires_on: Record
    abstains_on: Record
    doc: str
    lowered_columns: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    regex: str | None = None
    unless: str | None = None
    fires: Fires | None = field(default=None, repr=False)
    function: Callable[[Record], Any] | None = field(default=None, repr=False)

    @property
    def by_column(self) -> bool:
        """Whether it is evaluated by column."""
        return self.fires is not None

    def __call__(self, record: Record | str) -> str | None:
        """Vote on one record (or text): a label name, or None to abstain."""
        record = _as_record(record)
        if self.function is not None:
            return _ask(self, _Fields(record), record.get("id", "?"))
        # the examples are added to the record so that a null has the type its column has there
        frame = pl.from_dicts(
            [dict(row) for row in (record, self.fires_on, self.abstains_on)], infer_schema_length=None
        )
        needed = {*self.columns, *self.lowered_columns} - set(frame.columns)
        frame = frame.with_columns(pl.lit(None).alias(name) for name in sorted(needed))
        vote: str | None = _evaluate([self], _with_lowered(frame, [self]))[self.name][0]
        return vote


def labeling_function(
    *, label: str | None, fires_on: Record | str, abstains_on: Record | str
) -> Callable[[Callable[[Record], Any]], LabelingFunction]:
    """Declare a plain Python function of one record as a labeling function.

    With a label it returns whether it fires (or that label); with `label=None` a label name, or None to abstain.
    """

    def declare(function: Callable[[Record], Any]) -> LabelingFunction:
        return LabelingFunction(
            name=function.__name__,
            label=label,
            fires_on=_as_record(fires_on),
            abstains_on=_as_record(abstains_on),
            doc=(function.__doc__ or "").strip(),
            function=function,
        )

    return declare


def pattern(
    name: str,
    label: str,
    regex: str,
    *,
    column: str = "text",
    unless: str | None = None,
    fires_on: Record | str,
    abstains_on: Record | str,
) -> LabelingFunction:
    """Vote `label` where the lowered column matches `regex` but not `unless` (Rust syntax: no look-around)."""
    for parameter, expression_text in (("regex", regex), ("unless", unless)):
        if expression_text is not None:
            _check_regex(expression_text, where=f"labeling function {name!r}, {parameter}")
    fires = pl.col(column + LOWERED).str.contains(regex)
    if unless is not None:
        fires = fires & ~pl.col(column + LOWERED).str.contains(unless)
    return LabelingFunction(
        name=name,
        label=label,
        fires_on=_as_record(fires_on, column=column),
        abstains_on=_as_record(abstains_on, column=column),
        doc=f"{column} matches /{regex}/" + (f" and not /{unless}/" if unless else ""),
        lowered_columns=(column,),
        regex=regex,
        unless=unless,
        fires=fires,
    )


def expression(
    name: str,
    label: str | None,
    fires: Fires,
    *,
    columns: Sequence[str] = (),
    fires_on: Record | str,
    abstains_on: Record | str,
) -> LabelingFunction:
    """Vote where a polars expression over columns (or a callable of a polars frame) is true.

    With `label=None` the expression gives label names, null where it abstains. Lowered text is in the column
    `text_lower`. `columns` names what a callable reads; an expression knows by itself.
    """
    roots = tuple(fires.meta.root_names()) if isinstance(fires, pl.Expr) else tuple(columns)
    lowered = tuple(root.removesuffix(LOWERED) for root in roots if root.endswith(LOWERED))
    return LabelingFunction(
        name=name,
        label=label,
        fires_on=_as_record(fires_on),
        abstains_on=_as_record(abstains_on),
        doc=str(fires) if isinstance(fires, pl.Expr) else (fires.__doc__ or "").strip(),
        lowered_columns=lowered,
        columns=tuple(root for root in roots if not root.endswith(LOWERED)),
        fires=fires,
    )


def vote_matrix(functions: Sequence[LabelingFunction], records: pd.DataFrame, *, labels: Sequence[str]) -> np.ndarray:
    """Ask every function about every record: int16 (records, functions), an index into `labels` or -1."""
    _check_declared(functions, labels=labels)
    index = {label: i for i, label in enumerate(labels)}
    matrix = np.full((len(records), len(functions)), ABSTAIN, dtype=np.int16)
    frame = to_polars(records)
    by_column = [function for function in functions if function.by_column]
    by_row = [(place, function) for place, function in enumerate(functions) if not function.by_column]
    place_of = {function.name: place for place, function in enumerate(functions)}
    if by_column:
        seen = _with_lowered(frame.drop("id", strict=False), by_column)
        for name, votes in _evaluate(by_column, seen).items():
            matrix[:, place_of[name]] = _to_codes(name, votes, index)
    if by_row:
        ids = records["id"].tolist() if "id" in records else list(range(len(records)))
        for row, values in enumerate(frame.iter_rows(named=True)):
            record = _Fields(values)
            for place, function in by_row:
                vote = _ask(function, record, ids[row])
                if vote is not None:
                    matrix[row, place] = _code(function.name, vote, index, ids[row])
    return matrix


def cast_votes(functions: Sequence[LabelingFunction], records: pd.DataFrame, *, labels: Sequence[str]) -> pd.DataFrame:
    """Give the vote matrix as a frame: `id` and one int16 column a labeling function."""
    matrix = vote_matrix(functions, records, labels=labels)
    votes = pd.DataFrame(matrix, columns=[function.name for function in functions])
    votes.insert(0, "id", records["id"].to_numpy())
    return votes


def check_examples(functions: Sequence[LabelingFunction], *, labels: Sequence[str]) -> None:
    """Refuse (LabelingFunctionError) a function that does not vote its label on one example and abstain on the other.

    A function without a label of its own votes one of the domain's.
    """
    for function in functions:
        right = labels if function.label is None else (function.label,)
        if (vote := _on_example(function, "fires_on")) not in right:
            vote_text = "abstains" if vote is None else f"votes {vote!r}"
            raise LabelingFunctionError(
                f"labeling function {function.name!r} {vote_text} on {function.fires_on!r}, its fires_on: "
                f"expected a vote for {' or '.join(map(repr, right))}"
            )
        if (vote := _on_example(function, "abstains_on")) is not None:
            raise LabelingFunctionError(
                f"labeling function {function.name!r} votes {vote!r} on {function.abstains_on!r}, its abstains_on: "
                "expected it to abstain"
            )


def _on_example(function: LabelingFunction, name: str) -> str | None:
    example: Record = getattr(function, name)
    return function(example) if function.by_column else _ask(function, _Fields(example), name, of="example")


def to_polars(records: pd.DataFrame) -> pl.DataFrame:
    """Give the columns that a labeling function may see, missing values as null."""
    seen = records.drop(columns=[column for column in HIDDEN_COLUMNS if column in records])
    return pl.from_pandas(seen.reset_index(drop=True), nan_to_null=True)


class _Fields(dict[str, Any]):
    """One record, which names its fields when another one is requested."""

    def __missing__(self, key: str) -> Any:
        raise KeyError(f"a record has no field {key!r}: expected one of {', '.join(sorted(self))}")


def _as_record(example: Record | str, *, column: str = "text") -> Record:
    return {column: example} if isinstance(example, str) else dict(example)


def _check_regex(regex: str, *, where: str) -> None:
    try:
        pl.Series([""]).str.contains(regex)
    except pl.exceptions.PolarsError as error:
        raise LabelingFunctionError(
            f"{where}: {regex!r} is not a valid regular expression (Rust syntax): {error}"
        ) from error
    literal = re.sub(r"\\[pP]\{[^}]*\}|\\.|\(\?P?<\w+>|\(\?[a-zA-Z-]+[:)]", "", regex)
    if literal != literal.lower():
        raise LabelingFunctionError(
            f"{where}: {regex!r} has capital letters, and is matched against lowered text: write it lower"
        )


def _check_declared(functions: Sequence[LabelingFunction], *, labels: Sequence[str]) -> None:
    names = [function.name for function in functions]
    if not names:
        raise LabelingFunctionError(
            "the domain has no labeling functions: labeling_functions.py must define at least one"
        )
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise LabelingFunctionError(f"two labeling functions have one name: {', '.join(repeated)}")
    for function in functions:
        if function.label is not None and function.label not in labels:
            raise LabelingFunctionError(
                f"labeling function {function.name!r} votes {function.label!r}; "
                f"the domain's labels are: {', '.join(labels)}"
            )


def _with_lowered(frame: pl.DataFrame, functions: Sequence[LabelingFunction]) -> pl.DataFrame:
    for function in functions:
        missing = [name for name in (*function.columns, *function.lowered_columns) if name not in frame.columns]
        if missing:
            raise LabelingFunctionError(
                f"labeling function {function.name!r} reads column {missing[0]!r}; "
                f"a record has: {', '.join(frame.columns)}"
            )
    lowered = sorted({name for function in functions for name in function.lowered_columns})
    return frame.with_columns(pl.col(name).cast(pl.String).str.to_lowercase().alias(name + LOWERED) for name in lowered)


def _evaluate(functions: Sequence[LabelingFunction], frame: pl.DataFrame) -> dict[str, pl.Series]:
    """Give each function's votes as label names; they run together, and one by one only to find which one fails."""
    expressions = {function.name: _vote_expression(function, frame) for function in functions}
    try:
        votes = frame.select(**expressions)
    except Exception:
        for name, vote in expressions.items():
            try:
                frame.select(vote)
            except Exception as error:
                raise LabelingFunctionError(
                    f"labeling function {name!r} failed: {type(error).__name__}: {error}"
                ) from error
        raise
    return {name: votes[name] for name in expressions}


def _vote_expression(function: LabelingFunction, frame: pl.DataFrame) -> pl.Expr:
    fires = function.fires
    if not isinstance(fires, pl.Expr):
        if fires is None:
            raise LabelingFunctionError(f"labeling function {function.name!r} is not evaluated by column")
        try:
            result = fires(frame)
        except Exception as error:
            raise LabelingFunctionError(
                f"labeling function {function.name!r} failed: {type(error).__name__}: {error}"
            ) from error
        fires = result if isinstance(result, pl.Expr) else pl.lit(pl.Series(result))
    if function.label is None:
        return fires.cast(pl.String)
    return pl.when(fires.cast(pl.Boolean)).then(pl.lit(function.label)).otherwise(None)


def _to_codes(name: str, votes: pl.Series, index: Mapping[str, int]) -> np.ndarray:
    unknown = [label for label in votes.unique().drop_nulls().to_list() if label not in index]
    if unknown:
        raise LabelingFunctionError(
            f"labeling function {name!r} votes {sorted(unknown)[0]!r}; the domain's labels are: {', '.join(index)}"
        )
    return votes.replace_strict(dict(index), default=ABSTAIN, return_dtype=pl.Int16).fill_null(ABSTAIN).to_numpy()


def _ask(function: LabelingFunction, record: Record, record_id: object, *, of: str = "record") -> str | None:
    try:
        answer = function.function(record)  # type: ignore[misc]
    except Exception as error:
        raise LabelingFunctionError(
            f"labeling function {function.name!r} failed on {of} {record_id!r}: {type(error).__name__}: {error}"
        ) from error
    return _label_of(function, answer, record_id, of=of)


def _label_of(function: LabelingFunction, answer: Any, record_id: object, *, of: str) -> str | None:
    if answer is None:
        return None
    if function.label is not None and isinstance(answer, bool | np.bool_):
        return function.label if answer else None
    if isinstance(answer, str) and (function.label is None or answer == function.label):
        return str(answer)
    right = "a label name or None" if function.label is None else f"True, False, None or {function.label!r}"
    raise LabelingFunctionError(
        f"labeling function {function.name!r} answered {answer!r} on {of} {record_id!r}; right would be {right}"
    )


def _code(name: str, vote: str, index: Mapping[str, int], record_id: object) -> int:
    if vote not in index:
        raise LabelingFunctionError(
            f"labeling function {name!r} votes {vote!r} on record {record_id!r}; "
            f"the domain's labels are: {', '.join(index)}"
        )
    return index[vote]
