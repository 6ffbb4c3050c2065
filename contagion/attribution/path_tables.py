"""Contagion paths: from a source, through markets, accounts and nodes, to who bears the loss."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd

from contagion import holdings
from contagion.attribution.chain import Chain, first_passage, gains
from contagion.attribution.entities import Entities
from contagion.attribution.loop_erased import Paths, loop_erased_paths
from contagion.attribution.of_solution import attribute
from contagion.attribution.plain_walks import Walks
from contagion.attribution.plain_walks import walks as largest_walks
from contagion.attribution.result import Attribution
from contagion.errors import InputError
from contagion.kernels.inputs import Ints, sum_by
from contagion.solution import Solution

__all__ = ["chain_of", "feedback", "paths", "walks"]

_EXPANSIONS = 20_000
_BY = ("group", "platform")

_ENDING = ("mark", "proceeds", "deficit", "claims", "owned")
"""Kinds of edges that bring a loss to its bearer."""


def paths(
    solved: Solution | Attribution, k: int = 10, target: str | None = None, by: tuple[str, ...] = _BY
) -> pd.DataFrame:
    """Return the k largest contagion paths: simple paths whose shares add up to the target when all are listed.

    Conserved flows make a Markov chain over sources, account groups, markets and nodes. Each walk of a dollar through
    it has one loop-erased path (Lawler 1980); a path weighs what all walks carry that have it, its loops folded into
    gains, so no dollar is counted twice and none is lost.

    Parameters
    ----------
    solved : Solution or Attribution
        What to explain; an `Attribution` saves the work of making one, and brings its own target.
    k : int
        Paths wanted, the largest first.
    target : str, optional
        As in `contagion.attribute`; "loss" if not given. An `Attribution` has its own.
    by : tuple of str
        Columns of accounts (account, owner, group, platform, mode) that make up a group.

    Returns
    -------
    DataFrame
        Columns: rank; share of the target; usd (or the unit of the target); path (names, source first, bearer last);
        channels (of each step, the one that carries most); gain (how many times a dollar on it goes round, the product
        of ``gains``); gains (of each name). ``attrs``: listed and unlisted (in the unit), unlisted_share, and proven,
        the number of first rows that are sure to be the largest (all, unless flows have both signs).

    Raises
    ------
    InputError
        If an argument is not allowed.

    Examples
    --------
    >>> import contagion as ct
    >>> system, scenarios = ct.datasets.load("loop_lending")
    >>> found = ct.paths(ct.solve(system, scenarios["fall_25"]), k=1)
    >>> found["path"].iloc[0][0]
    'shock:USDe'
    """
    found, which, chain = _prepared(solved, k, target, by)
    listed = loop_erased_paths(chain, k, expansions=_EXPANSIONS)
    names, steps = _names(which, listed.into), _steps(found, which)
    rows = [
        {
            "share": _share(path.usd, found.total),
            found.unit: path.usd,
            "path": tuple(names[node] for node in path.nodes),
            "channels": _channels(path.nodes, steps),
            "gain": float(np.prod(path.gains)),
            "gains": path.gains,
        }
        for path in listed.paths
    ]
    return _ranked(rows, ["share", found.unit, "path", "channels", "gain", "gains"], listed, found)


def walks(
    solved: Solution | Attribution, k: int = 10, target: str | None = None, by: tuple[str, ...] = _BY
) -> pd.DataFrame:
    """Return the k largest walks of a loss: like `paths`, but every turn of a loop is a walk of its own.

    Parameters
    ----------
    solved, k, target, by
        As in `paths`.

    Returns
    -------
    DataFrame
        Columns rank, share, usd (or the unit of the target), path, channels; ``attrs`` as in `paths`. Listed and
        unlisted add up to the target for every k.

    Examples
    --------
    >>> import contagion as ct
    >>> system, scenarios = ct.datasets.load("loop_lending")
    >>> found = ct.walks(ct.solve(system, scenarios["fall_25"]), k=5)
    >>> float(round(found["share"].sum() + found.attrs["unlisted_share"], 9))
    1.0
    """
    found, which, chain = _prepared(solved, k, target, by)
    listed = largest_walks(chain, k, expansions=_EXPANSIONS)
    names, steps = _names(which, listed.into), _steps(found, which)
    rows = [
        {
            "share": _share(walk.usd, found.total),
            found.unit: walk.usd,
            "path": tuple(names[node] for node in walk.nodes),
            "channels": _channels(walk.nodes, steps),
        }
        for walk in listed.walks
    ]
    return _ranked(rows, ["share", found.unit, "path", "channels"], listed, found)


def feedback(found: Attribution) -> pd.DataFrame:
    """Return the feedback through each entity that a loss passes.

    Index name (account group @ platform, market, node); columns amplification (how often a dollar that reaches it
    passes it, 1 without feedback) and passing_share (the share of the target that passes it at least once).
    """
    which = found.entities()
    chain = chain_of(found, which)
    rows = np.flatnonzero(which.types != "source")
    share = first_passage(chain) / found.total if found.total else np.zeros(len(which.names))
    columns = {"amplification": gains(chain)[rows], "passing_share": share[rows]}
    return pd.DataFrame(columns, index=which.names.take(rows).rename("name"))


def chain_of(found: Attribution, which: Entities) -> Chain:
    """Return the flows between entities, sources among them, as a Markov chain."""
    table, size = found.flows_between(which), len(which.names)
    cause, effect = table["cause"].to_numpy(), table["effect"].to_numpy()
    usd = table["usd"].to_numpy(dtype=np.float64)
    entering = cause < len(which.sources)
    source = sum_by(cause[entering], usd[entering], size)
    return Chain(holdings.gathered(usd, effect, cause, (size, size)), source, found.borne(which))


def _prepared(
    solved: Solution | Attribution, k: int, target: str | None, by: tuple[str, ...]
) -> tuple[Attribution, Entities, Chain]:
    _check_arguments(solved, k)
    found = solved if isinstance(solved, Attribution) else attribute(solved, target or "loss")
    if target not in (None, found.target):
        raise InputError(
            f"target is {target!r}, but the attribution given is of {found.target!r}; leave it out", "paths"
        )
    which = found.entities(by)
    return found, which, chain_of(found, which)


def _check_arguments(solved: object, k: object) -> None:
    problems = []
    if not isinstance(solved, Solution | Attribution):
        problems.append(f"solved is a {type(solved).__name__}; give a Solution or an Attribution")
    if not isinstance(k, int | np.integer) or isinstance(k, bool) or k < 1:
        problems.append(f"k is {k!r}; give a whole number of at least 1")
    if problems:
        raise InputError(problems, "paths")


def _share(usd: float, total: float) -> float:
    return usd / total if total else 0.0


def _names(which: Entities, into: Ints) -> dict[int, str]:
    """Return the name by number of each entity; one that others are merged into carries their names too."""
    joined: dict[int, list[str]] = {}
    for number in np.flatnonzero((into >= 0) & (into != np.arange(into.size))).tolist():
        joined.setdefault(int(into[number]), []).append(str(which.names[number]))
    plain = {number: str(name) for number, name in enumerate(which.names)}
    return plain | {number: " + ".join([plain[number], *others]) for number, others in joined.items()}


def _steps(found: Attribution, which: Entities) -> dict[tuple[int, int], str]:
    """Return the channel that carries most from each entity to each other, and of the kinds that end there."""
    table = found.flows_between(which)
    listed = table.take(np.lexsort((table["channel"], table["usd"].abs())))
    ends = listed[listed["channel"].isin(_ENDING)]
    last = zip((-1 - ends["cause"]).tolist(), ends["effect"].tolist(), ends["channel"], strict=True)
    steps = zip(listed["cause"].tolist(), listed["effect"].tolist(), listed["channel"], strict=True)
    return {(cause, effect): channel for part in (last, steps) for cause, effect, channel in part}


def _channels(nodes: tuple[int, ...], steps: dict[tuple[int, int], str]) -> tuple[str, ...]:
    # merged entities may be neighbours without an edge of their own
    pairs = list(pairwise(nodes))
    names = [steps.get(pair, "") for pair in pairs]
    for cause, effect in pairs[-1:]:
        names[-1] = steps.get((-1 - cause, effect), names[-1])
    return tuple(names)


def _ranked(
    rows: list[dict[str, object]], columns: list[str], listed: Paths | Walks, found: Attribution
) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=pd.Index(columns))
    frame.insert(0, "rank", np.arange(1, len(frame) + 1))
    rest = float(listed.rest)
    frame.attrs = {
        "listed": float(listed.listed),
        "unlisted": rest,
        "unlisted_share": _share(rest, found.total),
        "proven": int(listed.proven),
    }
    return frame
