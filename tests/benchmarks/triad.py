"""What the memory of the machine gives: a[i] = b[i] + 2·c[i] (McCalpin 1995, STREAM), on one thread and on all."""

from __future__ import annotations

import time

import numpy as np
from numba import njit
from numpy.typing import NDArray

from contagion.kernels.threads import over_chunks

_LENGTH = 12_500_000
"""Numbers in each of the three arrays: 300 MB together, far more than any cache."""

_CHUNKS = 256


@njit(nogil=True)
def triad(
    first: int,
    last: int,
    cuts: NDArray[np.int64],
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    c: NDArray[np.float64],
) -> None:
    for i in range(cuts[first], cuts[last]):
        a[i] = b[i] + 2.0 * c[i]


def triad_rates(length: int = _LENGTH, repeats: int = 7) -> tuple[float, float]:
    """Return GB/s of a triad on one thread and on all threads, the best of a few."""
    a, b, c = np.zeros(length), np.ones(length), np.ones(length)
    cuts = np.linspace(0, length, _CHUNKS + 1).astype(np.int64)
    triad(0, 1, cuts, a, b, c)  # compiles
    rates = []
    for accounts in (0, length):  # few accounts are not handed to threads
        least = np.inf
        for _ in range(repeats):
            begun = time.perf_counter()
            over_chunks(triad, _CHUNKS, accounts, cuts, a, b, c)
            least = min(least, time.perf_counter() - begun)
        rates.append(24 * length / least / 1e9)
    return rates[0], rates[1]
