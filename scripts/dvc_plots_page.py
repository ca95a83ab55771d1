"""Write the page that `dvc plots show` fills, with the drawing code inside: DVC's own page loads it from a CDN.

Usage: python scripts/dvc_plots_page.py PAGE
"""

import sys
from importlib.metadata import version
from pathlib import Path

import vl_convert

VEGA_LITE = "5.21"  # the newest of the major version that DVC's templates and ours are written for
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
  <meta charset="utf-8">
  {refresh_tag}
  <title>DVC plots</title>
  <style>body {{ font-family: system-ui, sans-serif; margin: 2rem; }} table {{ border-spacing: 15px; }}</style>
  <script>{bundle}</script>
</head>
<body>
{plot_divs}
</body>
</html>
"""


def main(page: Path) -> None:
    """Write the whole page or none: DVC reads it at any time."""
    bundle = vl_convert.javascript_bundle(snippet="window.vegaEmbed = vegaEmbed;", vl_version=VEGA_LITE)
    marks = ("{scripts}", "{plot_divs}", "{refresh_tag}", "</script")
    if found := [mark for mark in marks if mark in bundle]:
        raise SystemExit(f"{page}: the drawing code of vl-convert {version('vl-convert-python')} contains {found}")
    text = PAGE.format(refresh_tag="{refresh_tag}", plot_divs="{plot_divs}", bundle=bundle)
    partial = page.with_name(page.name + ".partial")
    page.parent.mkdir(parents=True, exist_ok=True)
    partial.write_text(text, encoding="utf-8")
    partial.replace(page)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
