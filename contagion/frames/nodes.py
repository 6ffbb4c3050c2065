"""The table of nodes: losses by cause, buffers and haircuts."""

from __future__ import annotations

import numpy as np
import pandas as pd

from contagion.frames.parts import Parts
from contagion.kernels.inputs import Floats, sum_by


def nodes(parts: Parts, liquidations: pd.DataFrame) -> pd.DataFrame:
    """Return losses by cause, buffers, haircuts and liquidated USD by node, in the order of the system's table."""
    sold = liquidations.groupby("platform")["usd"].sum().reindex(parts.labels.nodes).fillna(0.0)
    return with_sums(parts, sold.to_numpy(), outside_liabilities(parts))


def with_sums(parts: Parts, sold: Floats, outside: Floats) -> pd.DataFrame:
    """Return the table from what was liquidated on each node and its liabilities held outside (n,), USD."""
    given, lost = parts.inputs.nodes, parts.outcome.losses
    frame = pd.DataFrame(
        {
            "loss": lost.loss,
            "loss_external": given.loss,
            "loss_deficits": lost.deficits,
            "loss_claims": lost.claims,
            "loss_owned": lost.owned,
            "buffer": given.buffer,
            "buffer_used": np.minimum(lost.loss, given.buffer),
            "liabilities": given.liabilities,
            "outside_liabilities": outside,
            "haircut": parts.run.state.haircut,
            "outside_loss": _falls_outside(parts, outside),
            "liquidated": sold,
        },
        index=parts.labels.nodes,
    )
    return parts.system.nodes.set_index("node")[["kind", "domain"]].join(frame)


def outside_loss(parts: Parts) -> Floats:
    """Return (n,) what falls on claimants outside the system, and what is lost beyond all listed liabilities."""
    return _falls_outside(parts, outside_liabilities(parts))


def _falls_outside(parts: Parts, outside: Floats) -> Floats:
    given = parts.inputs.nodes
    beyond: Floats = np.maximum(0.0, parts.outcome.losses.loss - given.buffer - given.liabilities)
    return parts.run.state.haircut * outside + beyond


def outside_liabilities(parts: Parts) -> Floats:
    """Return liabilities (n,) that nobody inside holds, neither as claims nor as tokens issued (net long)."""
    given, labels = parts.inputs.nodes, parts.labels
    claims = given.claims.sum(axis=0) + parts.inputs.accounts.claims.sum(axis=0)
    value = parts.signed_units(np.ones(len(labels.accounts))) * parts.opening_price()
    issuers = parts.system.assets.set_index("asset")["issuer"].reindex(labels.assets)
    issuer = labels.nodes.get_indexer(pd.Index(issuers))[labels.columns["asset"].to_numpy()]
    tokens = sum_by(issuer[issuer >= 0], value[issuer >= 0], given.buffer.size)
    free: Floats = np.maximum(0.0, given.liabilities - claims - np.maximum(0.0, tokens))
    return free
