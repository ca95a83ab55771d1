"""Change values in a YAML text and leave every other byte as it is: comments, order, quotes and blanks."""

from __future__ import annotations

import re
from typing import Any

import yaml


def rewrite(text: str, changes: dict[str, Any]) -> tuple[str, list[str]]:
    """The text with every value of `changes` in its place, and a `parameter: old -> new` for each value that moved.

    A mapping is changed key by key. A value that stands behind an alias changes at its anchor, and with it every parameter
    that shares it: all of them are told.
    """
    before = yaml.safe_load(text)
    edits = _Edits(text)
    edits.collect(yaml.compose(text, Loader=yaml.SafeLoader), before, changes)
    made = edits.made()
    return made, _moved(before, yaml.safe_load(made))


_NOTHING = object()


def _moved(before: dict[str, Any], after: dict[str, Any], *, prefix: str = "") -> list[str]:
    """A line for each value that differs, down to where both sides are mappings."""
    lines = []
    for name, value in after.items():
        old = before.get(name, _NOTHING)
        if isinstance(old, dict) and isinstance(value, dict):
            lines += _moved(old, value, prefix=f"{prefix}{name}.")
        elif _differ(old, value):
            lines.append(f"{prefix}{name}: {None if old is _NOTHING else old!r} -> {value!r}")
    return lines


def _differ(old: Any, new: Any) -> bool:
    return old != new or type(old) is not type(new)  # 1, 1.0 and true are three values to a model


class _Edits:
    """What is written where in a text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._said: dict[tuple[int, int], str] = {}

    def collect(self, node: Any, values: dict[str, Any], changes: dict[str, Any]) -> None:
        """Gather the changes of one mapping."""
        nodes = {key.value: (key, value) for key, value in node.value}
        new: dict[str, Any] = {}
        for name, value in changes.items():
            old = values.get(name)
            key, place = nodes.get(name, (None, None))
            if isinstance(value, dict) and isinstance(old, dict) and place is not None:
                self.collect(place, old, value)
            elif name in values and not _differ(old, value):
                continue
            elif place is None:
                new[name] = value
            else:
                self._replace(key, place, value)
        if new and (node.flow_style or not node.value):
            self._said[node.start_mark.index, self._end(node)] = _flow({**values, **new})
        elif new:
            first = node.value[0][0].start_mark
            lines = [f"{name}: {_flow(value)}\n{' ' * first.column}" for name, value in new.items()]
            self._said[first.index, first.index] = "".join(lines)

    def made(self) -> str:
        """The text with every edit, the last one first: the others' places stay right."""
        text = self.text
        for (start, end), said in sorted(self._said.items(), reverse=True):
            gap = re.match(r" +(?=#)", text[end:]) if said else None
            if gap:  # the comment behind a value stays in its column, where there is room
                width = end - start + len(gap[0])
                text = text[:start] + said.ljust(width - 1) + " " + text[start + width :]
            else:
                text = text[:start] + said + text[end:]
        return text

    def _replace(self, key: Any, place: Any, value: Any) -> None:
        """Another value behind a key: on the key's own line, also where a block below it or nothing stood."""
        start, end = place.start_mark.index, self._end(place)
        colon = self.text.index(":", key.end_mark.index) + 1
        if start == end:
            self._said[colon, colon] = f" {_flow(value)}"
        elif "\n" in self.text[colon:start]:
            self._said[colon, colon] = f" {_flow(value)}"
            self._said[self.text.rindex("\n", colon, start), end] = ""
        else:
            self._said[start, end] = _flow(value)

    def _end(self, node: Any) -> int:
        """Where a value's own text ends; a block's end mark stands behind the comments and blank lines after it."""
        if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
            last = node.value[-1]
            return self._end(last[1] if isinstance(last, tuple) else last)
        end = int(node.end_mark.index)
        block = isinstance(node, yaml.ScalarNode) and node.style in ("|", ">")
        return len(self.text[:end].rstrip()) if block else end


def _flow(value: Any) -> str:
    """A value on one line."""
    said = yaml.dump(
        value, Dumper=_OneLine, default_flow_style=True, width=float("inf"), allow_unicode=True, sort_keys=False
    )
    return str(said).removesuffix("...\n").rstrip("\n")


class _OneLine(yaml.SafeDumper):
    """YAML in which a text of many lines is one, its line ends written as escapes."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style='"' if "\n" in value else None)


_OneLine.add_representer(str, _text)
