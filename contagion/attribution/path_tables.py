"""Contagion paths: from a source, through markets, accounts and nodes, to who bears the loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from contagion import holdings
from contagion.attribution.chain import Chain, first_passage, gains
from contagion.attribution.entities import Entities, check_by
from contagion.attribution.listing import Listing, Walk
from contagion.attribution.loop_erased import loop_erased_paths
from contagion.attribution.of_solution import attribute
from contagion.attribution.plain_walks import walks as plain_walks
from contagion.attribution.result import Attribution
from contagion.attribution.target import check_target
from contagion.errors import instance, refuse, whole
from contagion.kernels.inputs import Ints, sum_by
from contagion.solution import Solution

__all__ = ["chain_of", "feedback", "paths", "walks"]

_BY = ("group", "platform")

_ENDING = ("mark", "proceeds", "deficit", "claims", "owned")
"""Kinds of edges that bring a loss to its bearer."""


def paths(
    solved: Solution | Attribution, k: int = 10, target: str | None = None, by: Sequence[str] = _BY
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
    by : sequence of str
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
    _check_arguments("paths", solved, k, target, by)
    return _listed(_attribution(solved, target), int(k), tuple(by), loop_erased_paths)


def walks(
    solved: Solution | Attribution, k: int = 10, target: str | None = None, by: Sequence[str] = _BY
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
    _check_arguments("walks", solved, k, target, by)
    return _listed(_attribution(solved, target), int(k), tuple(by), plain_walks).drop(columns=["gain", "gains"])


def feedback(found: Attribution) -> pd.DataFrame:
    """Return the feedback through each entity that a loss passes.

    Index name (account group @ platform, market, node); columns amplification (how often a dollar that reaches it
    passes it, 1 without feedback) and passing_share (the share of the target that passes it at least once).

    Raises
    ------
    InputError
        If it is not an attribution.
    """
    refuse(instance("found", found, Attribution, "an Attribution (attribute returns one)"), "feedback")
    which = found.entities()
    chain = chain_of(found, which, found.flows_between(which))
    rows = np.flatnonzero(which.types != "source")
    share = first_passage(chain) / found.total if found.total else np.zeros(len(which.names))
    columns = {"amplification": gains(chain)[rows], "passing_share": share[rows]}
    return pd.DataFrame(columns, index=which.names.take(rows).rename("name"))


def chain_of(found: Attribution, which: Entities, flows: pd.DataFrame) -> Chain:
    """Return the ``flows`` between entities, sources among them, as a Markov chain."""
    size, usd = len(which.names), flows["usd"].to_numpy(dtype=np.float64)
    cause, effect = flows["cause"].to_numpy(), flows["effect"].to_numpy()
    entering = cause < len(which.sources)
    source = sum_by(cause[entering], usd[entering], size)
    return Chain(holdings.gathered(usd, effect, cause, (size, size)), source, found.borne(which))


def _attribution(solved: Solution | Attribution, target: str | None) -> Attribution:
    if isinstance(solved, Attribution):
        return solved
    return attribute(solved, "loss" if target is None else target)


def _check_arguments(subject: str, solved: object, k: object, target: object, by: object) -> None:
    problems = instance("solved", solved, (Solution, Attribution), "a Solution or an Attribution") + whole("k", k, 1)
    if isinstance(solved, Attribution):
        if target is not None and not (isinstance(target, str) and target == solved.target):
            problems.append(f"target is {target!r}, but the attribution given is of {solved.target!r}; leave it out")
    elif target is not None:
        problems += check_target(target, solved.system if isinstance(solved, Solution) else None)
    refuse([*problems, *check_by(by)], subject)


def _listed(found: Attribution, k: int, by: tuple[str, ...], largest: Callable[[Chain, int], Listing]) -> pd.DataFrame:
    """Return the table of the k largest paths or walks."""
    which = found.entities(by)
    flows = found.flows_between(which)
    listing = largest(chain_of(found, which, flows), k)
    names, steps = _names(which, listing), _steps(flows, which, listing)
    usd = np.array([one.usd for one in listing.walks], dtype=np.float64)
    frame = pd.DataFrame(
        {
            "rank": np.arange(1, usd.size + 1),
            "share": usd / found.total if found.total else np.zeros_like(usd),
            found.unit: usd,
            "path": _objects([tuple(names[node] for node in one.nodes) for one in listing.walks]),
            "channels": _objects([_channels(one.nodes, steps) for one in listing.walks]),
            "gain": np.array([np.prod(one.gains) for one in listing.walks], dtype=np.float64),
            "gains": _objects([one.gains for one in listing.walks]),
        }
    )
    frame.attrs = {
        "listed": float(listing.listed),
        "unlisted": float(listing.rest),
        "unlisted_share": float(listing.rest) / found.total if found.total else 0.0,
        "proven": int(listing.proven),
    }
    return frame


def _objects(tuples: Sequence[tuple[object, ...]]) -> pd.Series[Any]:
    return pd.Series(tuples, dtype="object")


def _names(which: Entities, listing: Listing) -> dict[int, str]:
    """Return the names by number of the entities listed; one that others are merged into carries their names too."""
    into = listing.into
    listed = _visited(listing.walks)
    names = dict(zip(listed.tolist(), which.names.take(listed).tolist(), strict=True))
    merged = np.flatnonzero((into != np.arange(into.size)) & np.isin(into, listed))
    for number, name in zip(merged.tolist(), which.names.take(merged).tolist(), strict=True):
        names[int(into[number])] += f" + {name}"
    return names


def _visited(walks: Sequence[Walk]) -> Ints:
    return np.unique(np.array([node for one in walks for node in one.nodes], dtype=np.int64))


def _steps(flows: pd.DataFrame, which: Entities, listing: Listing) -> dict[tuple[int, int], str]:
    """Return the channel that carries most of each step that is listed, and of the kinds that end there."""
    size = len(which.names)
    taken = {cause * size + effect for one in listing.walks for cause, effect in pairwise(one.nodes)}
    step = flows["cause"].to_numpy() * size + flows["effect"].to_numpy()
    table = flows[np.isin(step, np.array(sorted(taken), dtype=np.int64))]
    table = table.take(np.lexsort((table["channel"], table["usd"].abs())))
    ends = table[table["channel"].isin(_ENDING)]
    last = zip((-1 - ends["cause"]).tolist(), ends["effect"].tolist(), ends["channel"], strict=True)
    steps = zip(table["cause"].tolist(), table["effect"].tolist(), table["channel"], strict=True)
    return {(cause, effect): channel for part in (last, steps) for cause, effect, channel in part}


def _channels(nodes: tuple[int, ...], steps: dict[tuple[int, int], str]) -> tuple[str, ...]:
    # merged entities may be neighbours without an edge of their own
    pairs = list(pairwise(nodes))
    names = [steps.get(pair, "") for pair in pairs]
    for cause, effect in pairs[-1:]:
        names[-1] = steps.get((-1 - cause, effect), names[-1])
    return tuple(names)
