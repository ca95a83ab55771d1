"""How far a long step is: a bar on a terminal, a line a tenth in a log."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

logger = logging.getLogger(__name__)


@contextmanager
def advancing(name: str, *, total: int) -> Iterator[Callable[[int], None]]:
    """Give a function that is told how many more are done; without a name, or for little work, nothing is shown."""
    if not name or total == 0:
        yield lambda _: None
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(name, total=total)
            yield lambda n: bar.advance(task, n)
    else:
        done, told = 0, 0

        def advance(n: int) -> None:
            nonlocal done, told
            done += n
            if done * 10 // total > told:
                told = done * 10 // total
                logger.info("%s: %d of %d", name, done, total)

        yield advance
