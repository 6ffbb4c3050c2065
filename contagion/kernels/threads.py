"""Chunks over threads: compiled kernels let go of the interpreter's lock, so its own threads are enough.

Each chunk writes to places of its own and is added up later in the order of chunks: the number of threads changes no
bit. ``NUMBA_NUM_THREADS`` limits them; by default there are as many as processors.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from itertools import pairwise

from numba import config

_LOCAL = threading.local()

_FEW = 10_000
"""Accounts below which handing work to threads takes longer than the work."""

_PIECES = 4
"""Pieces a thread, so that one that is late does not keep the others waiting."""


def over_chunks(kernel: Callable[..., object], chunks: int, accounts: int, *arguments: object) -> None:
    """Call ``kernel(first, last, *arguments)`` on ranges that cover all chunks, side by side if it pays."""
    workers = min(count(), chunks) if accounts >= _FEW and not getattr(_LOCAL, "alone", False) else 1
    if workers <= 1:
        kernel(0, chunks, *arguments)
        return
    pieces = min(chunks, workers * _PIECES)
    cuts = [chunks * piece // pieces for piece in range(pieces + 1)]
    futures = [_pool().submit(kernel, *ends, *arguments) for ends in pairwise(cuts)]
    for future in futures:
        future.result()


@contextmanager
def alone() -> Iterator[None]:
    """Keep the work of this thread to itself: other threads run other scenarios, and share no pool with it."""
    before = getattr(_LOCAL, "alone", False)
    _LOCAL.alone = True
    try:
        yield
    finally:
        _LOCAL.alone = before


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count(), thread_name_prefix="contagion")


def count() -> int:
    """Return how many threads there may be."""
    return int(config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]  # set as the module loads


os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not survive a fork
