"""Flows that are conserved at every entity, and what to do with entities that pass nothing on in total."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from contagion.kernels.inputs import Floats, Ints, sum_by

if TYPE_CHECKING:
    from scipy import sparse

__all__ = ["Chain", "Merged", "column_sums", "merge_vanishing", "triplets"]

VANISHING = 1e-12
"""Through flow, as a share of the flow gross of sign, below which an entity passes nothing on by itself."""

NEGLIGIBLE = 1e-18
"""Flow, as a share of all sources, that is dropped."""


class Chain(NamedTuple):
    """Flows in USD, conserved at every entity: source + inflow = sink + outflow."""

    flow: sparse.csr_array  # (n, n) USD from cause (column) to effect (row)
    source: Floats  # (n,) USD that enters
    sink: Floats  # (n,) USD that is borne


class Merged(NamedTuple):
    """A chain in which every entity that is left passes something on or bears it."""

    chain: Chain  # the same n entities; those merged or dropped have no flow
    into: Ints  # (n,) entity that each is part of now, itself if it was left alone, -1 if it was dropped


def merge_vanishing(chain: Chain) -> Merged:
    """Return the chain without passes of an entity to itself and without entities that pass nothing on in total.

    Where hedges make flows of both signs cancel in one entity its through flow is zero, and shares of it do not exist.
    It is merged with the neighbour with which it exchanges most (the first of these), again and again until no such
    entity is left. Entities without any flow are dropped. The sum of sources stays.
    """
    flow, source, sink = _without_dust(chain)
    into = np.arange(source.size)
    while True:
        gross = _gross(flow, source, sink)
        through = sink + column_sums(flow)
        vanishing = np.flatnonzero((gross > 0.0) & (np.abs(through) < VANISHING * gross))
        if not vanishing.size:
            break
        merged = int(vanishing[0])
        host = _closest(flow, merged)
        if host == merged:  # nothing left but sources that cancel
            source[merged] = sink[merged] = 0.0
            continue
        into[into == merged] = host
        source, sink = _moved(source, merged, host), _moved(sink, merged, host)
        flow = _joined(flow, merged, host)
    empty = gross <= NEGLIGIBLE * np.abs(chain.source).sum()
    into[(into < 0) | empty[into]] = -1
    kept = np.where(empty, 0.0, 1.0)
    return Merged(Chain(_scaled(flow, kept), source * kept, sink * kept), into)


def triplets(flow: sparse.csr_array) -> tuple[Floats, Ints, Ints]:
    """Return USD, effect and cause of every flow."""
    entries = flow.tocoo()
    return entries.data.astype(float), entries.row.astype(np.int64), entries.col.astype(np.int64)


def column_sums(flow: sparse.csr_array) -> Floats:
    """Return what leaves each entity (n,), added in canonical order."""
    usd, _, cause = triplets(flow)
    return sum_by(cause, usd, flow.shape[0])


def _without_dust(chain: Chain) -> Chain:
    """Return the chain without its diagonal and, if all that is negative in it is rounding, without that."""
    flow = _matrix(*triplets(chain.flow), chain.flow.shape[0])
    source, sink = np.array(chain.source, dtype=float), np.array(chain.sink, dtype=float)
    dust = 1e-12 * _gross(flow, source, sink)
    _, effect, cause = triplets(flow)
    margin = np.minimum(dust[effect], dust[cause])
    if (flow.data < -margin).any() or (source < -dust).any() or (sink < -dust).any():
        return Chain(flow, source, sink)
    flow.data = np.maximum(flow.data, 0.0)
    flow.eliminate_zeros()
    return Chain(flow, np.maximum(source, 0.0), np.maximum(sink, 0.0))


def _gross(flow: sparse.csr_array, source: Floats, sink: Floats) -> Floats:
    """Return all that enters and leaves each entity (n,), whatever its sign."""
    usd, effect, cause = triplets(flow)
    size, moved = source.size, np.abs(usd)
    gross: Floats = np.abs(source) + np.abs(sink) + sum_by(effect, moved, size) + sum_by(cause, moved, size)
    return gross


def _closest(flow: sparse.csr_array, entity: int) -> int:
    """Return the entity with the largest flow from and to this one, the first of these; itself if there is none."""
    exchanged = abs(flow[[entity]].toarray()[0]) + abs(flow[:, [entity]].toarray()[:, 0])
    return int(np.argmax(exchanged)) if exchanged.any() else entity


def _moved(values: Floats, merged: int, host: int) -> Floats:
    """Return the values with one added to another."""
    result = values.copy()
    result[host] += values[merged]
    result[merged] = 0.0
    return result


def _joined(flow: sparse.csr_array, merged: int, host: int) -> sparse.csr_array:
    """Return the flows with one entity as part of another."""
    usd, effect, cause = triplets(flow)
    effect, cause = np.where(effect == merged, host, effect), np.where(cause == merged, host, cause)
    return _matrix(usd, effect, cause, flow.shape[0])


def _scaled(flow: sparse.csr_array, kept: Floats) -> sparse.csr_array:
    """Return the flows among the entities that are kept (1) and no others (0)."""
    usd, effect, cause = triplets(flow)
    return _matrix(usd * kept[effect] * kept[cause], effect, cause, flow.shape[0])


def _matrix(usd: Floats, effect: Ints, cause: Ints, size: int) -> sparse.csr_array:
    """Return flows as a matrix in canonical order, without zeros and without a diagonal."""
    from scipy import sparse

    apart = effect != cause
    flow = sparse.csr_array((usd[apart], (effect[apart], cause[apart])), shape=(size, size))
    flow.sum_duplicates()
    flow.eliminate_zeros()
    return flow
