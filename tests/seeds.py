"""How many random systems a test looks at: a share of them, so that all tests run in minutes, or all of them."""

import math
import os

THOROUGH = os.environ.get("CONTAGION_TESTS") == "thorough"

_SHARE, _LEAST = 0.15, 2


def some(count: int, start: int = 0) -> range:
    """Return the first seeds of ``count`` from ``start`` on, and all of them with CONTAGION_TESTS=thorough."""
    return range(start, start + (count if THOROUGH else min(count, max(_LEAST, math.ceil(_SHARE * count)))))
