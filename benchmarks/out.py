"""Where benchmarks leave their tables: one marked section each of benchmarks/README.md."""

from pathlib import Path

README = Path(__file__).parent / "README.md"


def write_section(name: str, text: str) -> None:
    """Replace the section between `<!-- name -->` and `<!-- /name -->`, or append it."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    content = README.read_text(encoding="utf-8") if README.exists() else "# Benchmarks\n"
    block = f"{begin}\n{text.strip()}\n{end}"
    if begin in content and end in content:
        head, rest = content.split(begin, 1)
        content = head + block + rest.split(end, 1)[1]
    else:
        content = f"{content.rstrip()}\n\n{block}\n"
    README.write_text(content, encoding="utf-8")
