"""What the exact attribution says of every entity."""

from __future__ import annotations

import numpy as np
import pandas as pd

from contagion.attribution import Attribution, attribute
from contagion.attribution.chain import first_passage, gains
from contagion.attribution.entities import Entities
from contagion.attribution.path_tables import chain_of
from contagion.kernels.inputs import Floats, Ints, sum_by
from contagion.solution import Solution

__all__ = ["COLUMNS", "attributed", "passing", "sources"]

COLUMNS = ("throughput", "throughput_share", "passing_share", "amplification", "cross_domain_throughput")
"""Measures of entities that a loss passes."""


def attributed(solution: Solution) -> Attribution | None:
    """Return the attribution of the loss, or None where prices are beyond all numbers and there is none."""
    average = solution.parts.outcome.clearing.average(solution.parts.inputs.markets)
    return attribute(solution) if np.isfinite(average).all() else None


def passing(found: Attribution) -> pd.DataFrame:
    """Return `COLUMNS` of nodes, markets and groups, in this order and each in that of its labels."""
    which = found.entities()
    flows, size = found.flows_between(which), len(which.names)
    chain, total = chain_of(found, which, flows), found.total or 1.0
    through = sum_by(flows["effect"].to_numpy(), flows["usd"].to_numpy(dtype=np.float64), size)
    columns = {
        "throughput": through,
        "throughput_share": through / total,
        "passing_share": first_passage(chain) / total,
        "amplification": gains(chain),
        "cross_domain_throughput": _across(found, which, flows),
    }
    rows = np.concatenate([np.flatnonzero(which.types == kind) for kind in ("node", "market", "group")])
    return pd.DataFrame({name: values[rows] for name, values in columns.items()})


def sources(found: Attribution) -> pd.DataFrame:
    """Return what each source caused that caused anything, one row a source."""
    caused = found.sources.loc[found.sources["usd"] != 0.0, "usd"]
    return pd.DataFrame({"type": "source", "caused": caused})


def _across(found: Attribution, which: Entities, flows: pd.DataFrame) -> Floats:
    """Return what flows between each entity (e,) and entities of other domains."""
    domain, size = _domains(found, which), len(which.names)
    cause, effect = flows["cause"].to_numpy(), flows["effect"].to_numpy()
    across = (domain[cause] != domain[effect]) & (cause >= len(which.sources))
    usd = np.abs(flows["usd"].to_numpy()[across])
    return sum_by(np.concatenate([cause[across], effect[across]]), np.concatenate([usd, usd]), size)


def _domains(found: Attribution, which: Entities) -> Ints:
    """Return the number of each entity's domain (e,); of a group its platform's, of a market its venue's."""
    parts = found.terminal.parts
    names = parts.system.nodes.set_index("node")["domain"].reindex(parts.labels.nodes)
    of_node = pd.factorize(names)[0].astype(np.int64)
    domain = np.full(len(which.names), -1, dtype=np.int64)
    domain[which.of["lam"]] = of_node[parts.inputs.accounts.platform]
    domain[which.of["price"]] = of_node[parts.labels.nodes.get_indexer(found.terminal.venue)]
    domain[which.of["node"]] = of_node
    return domain
