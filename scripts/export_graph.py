"""Write the stage graph as DVC itself resolves it: `python scripts/export_graph.py [--check | --stdout] [--root R]`.

With `--checkout` it first restores the outputs that the cache holds, so that DVC starts only once.

It runs in the pipeline environment, which has DVC. DVC's own index resolves templates, `foreach`, `matrix`, several
`dvc.yaml` files and directory outputs, so the DAGs that read this file never guess an edge.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

GRAPH = "dags/graph.json"
FORMAT = 2


class InvalidPipeline(ValueError):
    """The stages cannot be read, or their order is a cycle."""


def export(root: Path, *, checkout: bool = False) -> dict[str, Any]:
    """Return a description of every stage of the repository at `root`, in the order in which `dvc repro` runs them."""
    from dvc.repo import Repo
    from dvc.repo.reproduce import collect_stages, get_active_graph, plan_repro

    with contextlib.chdir(root), contextlib.closing(Repo(".", _wait_for_lock=True)) as repo:
        graph = _read_graph(repo)
        if checkout:
            repo.checkout(force=True, allow_missing=True)
        active = get_active_graph(graph)
        # `dvc repro` runs what ./dvc.yaml needs, `dvc repro --all-pipelines` the rest.
        own = collect_stages(repo, ["dvc.yaml"]) if Path("dvc.yaml").exists() else []
        order = plan_repro(active, own) if own else []
        order += [stage for stage in plan_repro(active) if stage not in order]
        stages = [_describe(stage, graph) for stage in order if stage.cmd is not None]
        files = {Path(stage.path) for stage in order}
        return {
            "format": FORMAT,
            "stages": stages,
            "parameter_files": _parameter_files(stages),
            "templated": _templated(files),
        }


def _describe(stage: Any, graph: Any) -> dict[str, Any]:
    folder = Path(stage.wdir).resolve()

    def place(path: str) -> str:
        return os.path.relpath(folder / path, Path.cwd())

    upstream = {above.addressing for above in graph.successors(stage) if above.cmd is not None}
    return {
        "name": stage.addressing,
        "desc": stage.desc or "",
        "cmd": stage.cmd if isinstance(stage.cmd, str) else "\n".join(stage.cmd),
        "deps": sorted({place(dep.def_path) for dep in stage.deps}),
        "outs": sorted({place(out.def_path) for out in stage.outs}),
        "git_outs": sorted({place(out.def_path) for out in stage.outs if not out.use_cache}),
        "upstream": sorted(upstream),
        "frozen": bool(stage.frozen),
        "airflow": dict((stage.meta or {}).get("airflow", {})),
    }


def _parameter_files(stages: list[dict[str, Any]]) -> list[str]:
    """Return the YAML files that stages read parameters from; an override may name a value in any of them."""
    found = {dep for stage in stages for dep in stage["deps"] if dep.endswith((".yaml", ".yml"))}
    return sorted(found | {"params.yaml"})


def _templated(files: set[Path]) -> list[str]:
    """Return the names between `${` and `}`: values that shape the graph itself, including commands."""
    texts = [file.read_text(encoding="utf-8") for file in sorted(files) if file.suffix in {".yaml", ".yml"}]
    return sorted({name for text in texts for name in re.findall(r"\$\{\s*([^}\s]+)\s*\}", text)})


def _read_graph(repo: Any) -> Any:
    """Return DVC's graph of the stages; InvalidPipeline with the text of each cause, which has file and line."""
    from dvc.exceptions import DvcException

    try:
        return repo.index.graph
    except DvcException as error:
        causes: list[BaseException] = [error]
        while causes[-1].__cause__ is not None:
            causes.append(causes[-1].__cause__)
        lines = dict.fromkeys(line.strip() for cause in causes for line in str(cause).splitlines() if line.strip())
        raise InvalidPipeline("dvc.yaml, or a file that it refers to, is invalid: " + "\n".join(lines)) from None


def render(graph: dict[str, Any]) -> str:
    """Return the graph as JSON with one line per value, so that a change of one list is a change of one line."""
    stages = [_block(stage, "  ") for stage in graph["stages"]]
    rest = {name: value for name, value in graph.items() if name != "stages"}
    head = _block(rest, " ").removesuffix("\n }").removeprefix("{")
    return "{" + head + ',\n "stages": [\n  ' + ",\n  ".join(stages) + "\n ]\n}\n"


def _block(content: dict[str, Any], indent: str) -> str:
    lines = [f"{indent} {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in content.items()]
    return "{\n" + ",\n".join(lines) + f"\n{indent}}}"


def main(arguments: list[str] | None = None) -> int:
    """Write, print or check the generated graph."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="the repository (default: the working directory)")
    parser.add_argument("--check", action="store_true", help=f"only report whether {GRAPH} is stale")
    parser.add_argument("--stdout", action="store_true", help="print the graph, write nothing")
    parser.add_argument("--checkout", action="store_true", help="run `dvc checkout --force --allow-missing` first")
    given = parser.parse_args(arguments)
    try:
        text = render(export(given.root, checkout=given.checkout))
    except InvalidPipeline as error:
        sys.stderr.write(f"{error}\n")
        return 66
    file = given.root / GRAPH
    if given.stdout:
        sys.stdout.write(text)
    elif given.check:
        if not file.is_file() or file.read_text(encoding="utf-8") != text:
            sys.stderr.write(f"{GRAPH} is stale: dvc.yaml or a file it refers to has changed; run `make graph`\n")
            return 1
    elif not file.is_file() or file.read_text(encoding="utf-8") != text:
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(".partial")
        partial.write_text(text, encoding="utf-8")
        partial.replace(file)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
