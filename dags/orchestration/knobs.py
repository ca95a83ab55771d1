"""Change single values of a YAML parameter file and leave every other byte, comments too, as it was."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from .request import RequestError

# What may stand in a command without meaning anything to a shell; no leading dash, which would be an option.
PLAIN = r"[A-Za-z0-9_./:@%+=,][A-Za-z0-9_./:@%+=,-]*\Z"


def look_up(tree: Any, path: str) -> tuple[bool, Any]:
    """Whether the dotted path exists in the tree, and its value."""
    for name in path.split("."):
        if not isinstance(tree, dict) or name not in tree:
            return False, None
        tree = tree[name]
    return True, tree


def read(path: Path) -> Any:
    """A YAML file's content; an empty mapping where there is no such file."""
    return (yaml.safe_load(path.read_text(encoding="utf-8")) or {}) if path.is_file() else {}


def shaping(overrides: Mapping[str, Any], *, templated: Sequence[str]) -> list[str]:
    """Knobs that shape the graph itself, since `dvc.yaml` names them in `${...}`; their values must be plain.

    DVC writes them into commands, which a shell reads; every other value only ever reaches a parameter file.
    """
    names = [re.split(r"[.\[\]]+", name) for name in templated]
    found = [knob for knob in overrides if any(_related(knob.split("."), name) for name in names)]
    for knob in found:
        for text in _texts(overrides[knob]):
            if text and not re.match(PLAIN, text):
                raise RequestError(
                    f"overrides: {knob} = {overrides[knob]!r} is refused: dvc.yaml writes it into its stages; "
                    "right would be plain letters, digits and ._/:@%+=,-"
                )
    return found


def _related(one: Sequence[str], other: Sequence[str]) -> bool:
    return all(a == b for a, b in zip(one, other, strict=False))


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for pair in value.items() for part in pair for text in _texts(part)]
    if isinstance(value, list | tuple):
        return [text for part in value for text in _texts(part)]
    return [value] if isinstance(value, str) else []


def apply(workspace: Path, overrides: Mapping[str, Any], *, files: list[str], target: str = "params.yaml") -> bool:
    """Write the overrides into the target file; True when that changed it.

    A knob must exist in one of `files`: in the target itself, or in a file whose values the target may overlay.
    """
    trees = {file: read(workspace / file) for file in dict.fromkeys([target, *files])}
    path = workspace / target
    text = path.read_text(encoding="utf-8")
    before = text
    for knob, value in overrides.items():
        if not any(look_up(tree, knob)[0] for tree in trees.values()):
            section = knob.split(".")[0]
            known = sorted({f"{section}.{name}" for tree in trees.values() for name in _names(tree.get(section))})
            known = known or sorted({str(name) for tree in trees.values() for name in tree})
            raise RequestError(f"overrides: no knob {knob!r} in {', '.join(trees)}; there are: {', '.join(known)}")
        if section := next((found for tree in trees.values() if (found := _section(tree, knob))), None):
            raise RequestError(
                f"overrides: {knob} = {value!r} is refused: {knob} is a section; right would be one of its knobs: "
                + ", ".join(f"{knob}.{name}" for name in section)
            )
        try:
            json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
        except (TypeError, ValueError) as error:
            raise RequestError(f"overrides: {knob} = {value!r} is no plain value: {error}") from error
        text = with_value(text, knob, value)
    if text != before:
        path.write_text(text, encoding="utf-8")
    return text != before


def _names(section: Any) -> list[str]:
    return [str(name) for name in section] if isinstance(section, dict) else []


def _section(tree: Any, knob: str) -> dict[str, Any]:
    """The knobs below a dotted path; empty where there is a value, or nothing."""
    found = look_up(tree, knob)[1]
    return found if isinstance(found, dict) else {}


def with_value(text: str, knob: str, value: Any) -> str:
    """The YAML text with one value set; a path that is not there yet is added below its nearest parent."""
    expected = _set(yaml.safe_load(text) or {}, knob.split("."), value)
    changed = _edited(text, knob.split("."), value)
    if yaml.safe_load(changed) != expected:  # two places share one value through an alias: only one is to change
        changed = _edited(_without_aliases(text), knob.split("."), value)
    if yaml.safe_load(changed) != expected:
        raise RequestError(f"overrides: {knob} could not be set to {value!r} without touching other values")
    return changed


def _set(tree: Any, path: list[str], value: Any) -> Any:
    tree = dict(tree) if isinstance(tree, dict) else {}
    tree[path[0]] = value if len(path) == 1 else _set(tree.get(path[0]), path[1:], value)
    return tree


def _edited(text: str, path: list[str], value: Any) -> str:
    node, colon = yaml.compose(text, Loader=yaml.SafeLoader), 0
    for depth, name in enumerate(path):
        if not isinstance(node, yaml.MappingNode):
            for missing in reversed(path[depth:]):
                value = {missing: value}
            break
        found = next(((key, below) for key, below in node.value if key.value == name), None)
        if found is None:
            return _added(text, node, path[depth:], value)
        colon = text.index(":", found[0].end_mark.index) + 1
        node = found[1]
    return _replaced(text, node, value, colon=colon)


class _AnchorLoader(yaml.SafeLoader):
    """Keeps every anchored node of a document by the anchor's name."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.anchored: dict[str, Any] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Compose a node and remember its anchor."""
        event: Any = self.peek_event()
        anchor = None if isinstance(event, yaml.AliasEvent) else event.anchor
        node = super().compose_node(parent, index)
        if anchor is not None:
            self.anchored[anchor] = node
        return node


def _without_aliases(text: str) -> str:
    """The same YAML with each alias written out in its place."""
    loader = _AnchorLoader(text)
    loader.get_single_node()
    aliases = [token for token in yaml.scan(text, Loader=yaml.SafeLoader) if isinstance(token, yaml.AliasToken)]
    for token in reversed(aliases):
        value = loader.construct_object(loader.anchored[token.value], deep=True)
        text = text[: token.start_mark.index] + _flow(value) + text[token.end_mark.index :]
    return text


def _replaced(text: str, node: Any, value: Any, *, colon: int) -> str:
    start, end = node.start_mark.index, _end(node)
    end = start + len(text[start:end].rstrip("\n"))  # a literal block's text ends in newlines
    if start == end or (not isinstance(node, yaml.ScalarNode) and not node.flow_style):
        # Nothing, or a block below its key: the new value goes onto the key's own line.
        between = text[colon:start].rstrip(" ")
        return f"{text[:colon]} {_flow(value)}{between.removesuffix(chr(10))}{text[end:]}"
    return text[:start] + _flow(value) + text[end:]


def _added(text: str, node: Any, path: list[str], value: Any) -> str:
    for name in reversed(path[1:]):
        value = {name: value}
    line = f"{path[0]}: {_flow(value)}"
    at = node.start_mark.index
    if node.flow_style:
        return text[: at + 1] + line + (", " if node.value else "") + text[at + 1 :]
    return text[:at] + line + "\n" + " " * node.start_mark.column + text[at:]


def _end(node: Any) -> int:
    """End of a node's own text: a block collection's mark lies behind comments that are not its own."""
    if isinstance(node, yaml.ScalarNode) or node.flow_style or not node.value:
        return int(node.end_mark.index)
    last = node.value[-1]
    return _end(last[1] if isinstance(last, tuple) else last)


def _flow(value: Any) -> str:
    """One value on one line: JSON, which is YAML too once letters that end a line or are unseen there are escaped."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return re.sub("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]", lambda found: f"\\u{ord(found[0]):04x}", text)
