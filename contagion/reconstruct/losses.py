"""What a model says over many networks that may all be the true one: quantiles, and bounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from contagion.clearing.network import Floats, Matrix, Vector, read
from contagion.errors import InputError, is_number, numbers, refuse, whole
from contagion.frozen import HandsOutCopies
from contagion.reconstruct.networks import Ensemble

__all__ = ["EnsembleLosses", "IntervalLosses", "ensemble_losses", "interval_losses"]

Measure = str | Callable[[Any], Any] | None

_ROUNDING = 1e-9
"""Share of the largest loss by which a loss may fall, where it should rise, and still count as rounding."""


@dataclass(frozen=True)
class EnsembleLosses(HandsOutCopies):
    """Losses over an ensemble of networks.

    Parameters
    ----------
    by_node : DataFrame
        Index node; columns mean and the quantiles asked for, as text; USD.
    total : Series
        Mean and quantiles of the sum over nodes, USD.
    samples : DataFrame
        Index node, columns sample; USD.
    """

    by_node: pd.DataFrame
    total: pd.Series[float]
    samples: pd.DataFrame


@dataclass(frozen=True)
class IntervalLosses(HandsOutCopies):
    """Losses at the two corners of an interval of networks.

    Parameters
    ----------
    by_node : DataFrame
        Index node; columns lower and upper, USD.
    lower, upper : float
        Bounds of the sum over nodes, USD.
    checks : int
        Ordered pairs of networks in between for which losses were found to be ordered too. A check, no proof.
    """

    by_node: pd.DataFrame
    lower: float
    upper: float
    checks: int


def ensemble_losses(
    model: Callable[..., Any],
    ensemble: Ensemble | Sequence[Any],
    *,
    loss: Measure = None,
    quantiles: Sequence[float] = (0.05, 0.25, 0.5, 0.75, 0.95),
    progress: bool = False,
    **arguments: Any,
) -> EnsembleLosses:
    """Return quantiles of losses over networks that all may be the true one.

    Parameters
    ----------
    model : callable
        Takes a network (a sparse array whose rows are debtors) and ``arguments``, as `eisenberg_noe` does.
    ensemble : Ensemble or sequence of (n, n) arrays, sparse arrays or DataFrames
        At least two networks; one is no ensemble.
    loss : str or callable, optional
        Column of the result's ``frame``, or what makes an array (n,) of losses by node, USD, of a result. By default
        the column loss, or if there is none owed − payments.
    quantiles : sequence of float
    progress : bool
        Whether to show progress on stderr.
    **arguments
        Handed to the model by name; Series and mappings are put in the order of the networks' labels first. Where they
        leave some out, the model has a default (as for ``shock``) or refuses it.

    Returns
    -------
    EnsembleLosses

    Raises
    ------
    InputError
        All that is wrong with the arguments.
    NotConverged
        From the model.

    Examples
    --------
    >>> from contagion.clearing import eisenberg_noe
    >>> chain = [[0, 2, 0], [0, 0, 2], [0, 0, 0]], [[0, 0, 2], [0, 0, 0], [0, 2, 0]]
    >>> ensemble_losses(eisenberg_noe, chain, quantiles=[0.5], external_assets=[1, 0, 1]).total.to_dict()
    {'mean': 1.5, '0.5': 1.5}
    """
    problems = numbers("quantiles", quantiles, lambda share: 0.0 <= share <= 1.0, "numbers from 0 to 1")
    drawn, labels = _networks(ensemble, problems)
    given = _aligned("ensemble_losses", labels, arguments)
    counted = tqdm(drawn, desc="networks", unit="", disable=not progress)
    losses = np.stack([_losses(model(network, **given), loss, len(labels)) for network in counted], axis=1)
    columns = {"mean": losses.mean(axis=1)} | {f"{share:g}": np.quantile(losses, share, axis=1) for share in quantiles}
    sums = losses.sum(axis=0)
    total = {"mean": sums.mean()} | {f"{share:g}": np.quantile(sums, share) for share in quantiles}
    nodes = labels.rename("node")
    samples = pd.DataFrame(losses, index=nodes, columns=pd.RangeIndex(len(drawn), name="sample"))
    return EnsembleLosses(pd.DataFrame(columns, index=nodes), pd.Series(total, name="total", dtype="float64"), samples)


def interval_losses(
    model: Callable[..., Any],
    lower: Any,
    upper: Any,
    *,
    loss: Measure = None,
    checks: int = 8,
    **arguments: Any,
) -> IntervalLosses:
    """Return bounds of losses if each debt lies between two amounts: the losses at both corners.

    They bound the losses of all networks in between only if losses rise with every debt, all other arguments fixed.
    This holds for `threshold_cascade` and `debtrank` (each debt is an exposure, equity is given). It does not hold for
    `eisenberg_noe` and others with external assets given, where a larger debt makes the creditor richer. It is tried on
    ordered pairs of networks in between, and refused where it fails; use `ensemble_losses` then.

    Parameters
    ----------
    model : callable
        As in `ensemble_losses`.
    lower, upper : (n, n) array, sparse array, DataFrame or DiGraph
        Least and largest amounts that debtors (rows) may owe creditors, USD.
    loss : str or callable, optional
        As in `ensemble_losses`.
    checks : int
        Ordered pairs of networks that are tried.
    **arguments
        Handed to the model by name; Series and mappings are aligned first.

    Returns
    -------
    IntervalLosses

    Raises
    ------
    InputError
        All that is wrong with the arguments, and losses that fall where a debt rises.

    Examples
    --------
    >>> from contagion.clearing import debtrank
    >>> low, high = [[0, 1], [0, 0]], [[0, 3], [0, 0]]
    >>> found = interval_losses(debtrank, low, high, equity=[2, 4], shock=[0.5, 0])
    >>> found.lower, found.upper
    (1.5, 2.5)
    """
    table = read("interval_losses", {"lower": Matrix(lower), "upper": Matrix(upper)}, {}, whole("checks", checks, 1))
    labels = table.labels["node"]
    low, high = table.matrices["lower"], table.matrices["upper"]
    wide = (high - low).tocsr()
    wide.eliminate_zeros()
    refuse(["lower is above upper in some cells; swap them"] if (wide.data < 0.0).any() else [], "interval_losses")
    given = _aligned("interval_losses", labels, arguments)

    def at(network: Any) -> Floats:
        return _losses(model(network, **given), loss, len(labels))

    rng = np.random.default_rng(0)
    ends, tried = (at(low), at(high)), 0
    while tried < checks:
        shares = np.sort(rng.random((2, wide.nnz)), axis=0)
        between = [at(_between(low, wide, share)) for share in shares]
        for before, after in ((ends[0], between[0]), (between[0], between[1]), (between[1], ends[1])):
            _rising(before, after)
        tried += 1
    frame = pd.DataFrame({"lower": ends[0], "upper": ends[1]}, index=labels.rename("node"))
    return IntervalLosses(frame, float(ends[0].sum()), float(ends[1].sum()), 3 * tried)


def _between(low: Any, wide: Any, shares: Floats) -> Any:
    step = wide.copy()
    step.data = wide.data * shares
    return (low + step).tocsr()


def _rising(before: Floats, after: Floats) -> None:
    if (after < before - _ROUNDING * max(float(np.abs(after).max(initial=0.0)), 1e-300)).any():
        raise InputError(
            "losses fall somewhere between lower and upper although debts rise, so corners do not bound them; "
            "use ensemble_losses on networks in between",
            "interval_losses",
        )


def _networks(ensemble: Any, problems: list[str]) -> tuple[list[Any], pd.Index[Any]]:
    """Return the networks in one order of labels."""
    if isinstance(ensemble, Ensemble):
        drawn, labels = list(ensemble.matrices), ensemble.labels
        refuse(problems + _too_few(len(drawn)), "ensemble_losses")
        return drawn, labels
    listed = list(ensemble) if isinstance(ensemble, list | tuple) else []
    problems = problems + _too_few(len(listed))
    named = {f"network {number}": Matrix(one) for number, one in enumerate(listed)}
    table = read("ensemble_losses", named, {}, problems)
    return list(table.matrices.values()), table.labels["node"]


def _too_few(count: int) -> list[str]:
    if count > 1:
        return []
    return [f"the ensemble has {count} networks; one reconstruction is no answer, give two at least"]


def _aligned(subject: str, labels: pd.Index[Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments with Series and mappings as arrays in the order of the labels.

    What leaves labels out becomes a mapping by place, for what holds for the others is the model's to say.
    """
    tables = [name for name, value in arguments.items() if isinstance(value, pd.DataFrame) or hasattr(value, "edges")]
    cure = "has labels, and the networks are handed over in the order of the ensemble; give an array in that order"
    refuse([f"{name} {cure}" for name in tables], subject)
    named = {name: value for name, value in arguments.items() if isinstance(value, pd.Series | Mapping)}
    order = Vector(pd.Series(np.zeros(len(labels)), index=labels))
    vectors = {"ensemble": order} | {name: Vector(value, lowest=-np.inf, default=0.0) for name, value in named.items()}
    aligned = {name: read(subject, {}, vectors).vectors[name] for name in named}
    given = {name: labels.isin(list(value.keys())) for name, value in named.items()}
    return dict(arguments) | {
        name: values if given[name].all() else {place: float(values[place]) for place in np.flatnonzero(given[name])}
        for name, values in aligned.items()
    }


def _losses(result: Any, loss: Measure, count: int) -> Floats:
    """Return the losses (n,) of a result."""
    frame = getattr(result, "frame", None)
    if callable(loss):
        values = np.asarray(loss(result), dtype=np.float64)
    elif frame is None:
        raise InputError("the model's result has no frame; say by loss=function how to get losses by node", "loss")
    elif isinstance(loss, str) or "loss" in frame:
        name = loss if isinstance(loss, str) else "loss"
        if name not in frame:
            raise InputError(f"loss is {name!r}; the model's frame has {', '.join(map(repr, frame.columns))}", "loss")
        values = frame[name].to_numpy(dtype=np.float64)
    elif {"owed", "payments"} <= set(frame.columns):
        values = (frame["owed"] - frame["payments"]).to_numpy(dtype=np.float64)
    else:
        raise InputError("the model's frame has no column loss; say by loss= which one to take", "loss")
    if values.shape != (count,) or not all(map(is_number, values.tolist())):
        raise InputError(f"losses have shape {values.shape}; give one finite number for each of {count} nodes", "loss")
    return values
