"""Progress of a long step: a bar on a terminal, one line per tenth in a log."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

logger = logging.getLogger(__name__)


@contextmanager
def advancing(name: str, *, total: int) -> Iterator[Callable[[int], None]]:
    """Yield a function to call with the number of items just done; nothing is shown without a name or a total."""
    if not name or total == 0:
        yield lambda _: None
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(name, total=total)
            yield lambda n: bar.advance(task, n)
    else:
        done, reported = 0, 0

        def advance(n: int) -> None:
            nonlocal done, reported
            done += n
            if done * 10 // total > reported:
                reported = done * 10 // total
                logger.info("%s: %d of %d", name, done, total)

        yield advance
