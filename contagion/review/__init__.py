"""What is allowed in a system but may not be meant, one function a warning.

Everything here passes `contagion.validate`, so it is shown, not raised.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from contagion.review.accounts import warn_funding, warn_opening, warn_owners, warn_repeated, warn_terms
from contagion.review.found import COLUMNS, warn
from contagion.review.markets import warn_assets, warn_links, warn_markets, warn_oracles, warn_pegs
from contagion.review.nodes import warn_issuer_cycles, warn_issuers, warn_nodes
from contagion.system import System
from contagion.validate import extra_columns, validate

__all__ = ["review", "warnings"]


def review(system: System) -> pd.DataFrame:
    """Return the warnings about a system.

    Parameters
    ----------
    system : System
        Tables; checked first.

    Returns
    -------
    DataFrame
        ``table``, ``row`` (from 1, the first row below the header; missing for a whole column), ``name``, ``warning``
        (a short code to filter by), ``value`` (what the text speaks of, where it is a number) and ``text``.

    Raises
    ------
    InputError
        If the system is not valid.

    Examples
    --------
    >>> system = System(
    ...     nodes=pd.DataFrame({"node": ["Binance"]}),
    ...     assets=pd.DataFrame({"asset": ["BTC"]}),
    ...     markets=pd.DataFrame({"market": ["Binance:BTC"], "venue": "Binance", "asset": "BTC", "price": 1e5}),
    ... )
    >>> review(system)[["table", "row", "name", "warning"]].values.tolist()
    [['markets', 1, 'Binance:BTC', 'no_depth']]
    """
    validate(system)
    return warnings(system)


def warnings(system: System) -> pd.DataFrame:
    """Return the warnings about a system that `contagion.validate` has passed; see `review`."""
    empty = pd.DataFrame({name: pd.Series(dtype=dtype) for name, dtype in COLUMNS.items()})
    return pd.concat([empty, *(warn(system) for warn in WARNINGS)], ignore_index=True).astype(COLUMNS)


def warn_columns(system: System) -> pd.DataFrame:
    """Return columns that the schema does not know."""
    found = [
        warn(table, None, pd.Series([name], dtype="str"), "extra_column", "not in the schema: ignored", np.nan)
        for table, name, _ in extra_columns(system)
    ]
    return pd.concat(found) if found else pd.DataFrame()


def warn_empty(system: System) -> pd.DataFrame:
    """Return one warning if no table has a row."""
    if any(len(frame) for _, frame in system.tables()):
        return pd.DataFrame()
    return warn("nodes", None, pd.Series(["system"], dtype="str"), "empty", "no table has a row", np.nan)


WARNINGS: tuple[Callable[[System], pd.DataFrame], ...] = (
    warn_opening,
    warn_assets,
    warn_markets,
    warn_links,
    warn_terms,
    warn_oracles,
    warn_pegs,
    warn_issuers,
    warn_issuer_cycles,
    warn_nodes,
    warn_owners,
    warn_repeated,
    warn_funding,
    warn_columns,
    warn_empty,
)
"""Each returns the rows it found, with the columns of `review`."""
