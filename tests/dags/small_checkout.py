"""Write this repository into a folder, small enough for a test: `python tests/dags/small_checkout.py FOLDER`.

The smoke run's checkout with its small stream and tiny base model, all committed, since runs use committed files. Runs
in the pipeline's environment.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.factories.checkout import Checkout


def laid_over(below: Any, above: Any) -> Any:
    """The tree below with every value of the tree above."""
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    return below | {name: laid_over(below.get(name), value) for name, value in above.items()}


def main(folder: Path) -> None:
    """Make `FOLDER/checkout`, with `FOLDER/home` as its state root and `FOLDER/models` for PERENNIAL_MODELS."""
    checkout = Checkout(folder).make()
    overlay = yaml.safe_load(checkout.overlay.read_text(encoding="utf-8"))
    checkout.edit("params.yaml", lambda params: params.update(laid_over(params, overlay)))
    checkout.git("commit", "--quiet", "--all", "--message", "a small stream")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
