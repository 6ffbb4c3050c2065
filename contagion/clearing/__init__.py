"""The classic models on matrices. ``liabilities[i, j]`` is what i owes j, everywhere: rows are debtors.

Matrices are numpy arrays, scipy.sparse, DataFrames (labels kept and aligned) or networkx DiGraphs; each function checks
all that it is given at once, and hands back a small frozen object with a ``frame`` by node.

>>> from contagion import clearing
>>> clearing.eisenberg_noe([[0, 2, 0], [0, 0, 2], [0, 0, 0]], [1, 0, 0]).payments.tolist()
[1.0, 1.0, 0.0]
"""

from __future__ import annotations

from contagion.clearing import valuations
from contagion.clearing.cascade import Cascade, furfine, threshold_cascade
from contagion.clearing.cifuentes_ferrucci_shin import FireSale, cifuentes_ferrucci_shin
from contagion.clearing.clearing_vector import Clearing
from contagion.clearing.cont_schaanning import cont_schaanning
from contagion.clearing.debtrank import Distress, debtrank
from contagion.clearing.debtrank_all import Systemic, debtrank_all
from contagion.clearing.deleveraging import Deleveraging
from contagion.clearing.eisenberg_noe import eisenberg_noe
from contagion.clearing.elsinger import elsinger
from contagion.clearing.layers import LayeredClearing
from contagion.clearing.market_depth import market_depth
from contagion.clearing.network_valuation import Valued, jacobian, network_valuation
from contagion.clearing.overlaps import (
    EndogenousRisk,
    endogenous_risk,
    indirect_contagion,
    liquidity_weighted_overlaps,
)
from contagion.clearing.rogers_veraart import rogers_veraart
from contagion.clearing.structure import (
    communicability,
    impact_diffusion,
    impact_fluidity,
    impact_susceptibility,
)
from contagion.clearing.structure_centralities import centralities
from contagion.clearing.structure_core import CorePeriphery, core_periphery
from contagion.clearing.structure_impact import impact_matrix, vulnerability_matrix
from contagion.clearing.structure_sink import sink_rank
from contagion.clearing.structure_stability import Stability, leverage_stability
from contagion.clearing.suzuki import suzuki
from contagion.clearing.valuations import Book, Valuation
from contagion.clearing.variation_margin import Margins, variation_margin
from contagion.clearing.vulnerable_banks import VulnerableBanks, vulnerable_banks

__all__ = [
    "Book",
    "Cascade",
    "Clearing",
    "CorePeriphery",
    "Deleveraging",
    "Distress",
    "EndogenousRisk",
    "FireSale",
    "LayeredClearing",
    "Margins",
    "Stability",
    "Systemic",
    "Valuation",
    "Valued",
    "VulnerableBanks",
    "centralities",
    "cifuentes_ferrucci_shin",
    "communicability",
    "cont_schaanning",
    "core_periphery",
    "debtrank",
    "debtrank_all",
    "eisenberg_noe",
    "elsinger",
    "endogenous_risk",
    "furfine",
    "impact_diffusion",
    "impact_fluidity",
    "impact_matrix",
    "impact_susceptibility",
    "indirect_contagion",
    "jacobian",
    "leverage_stability",
    "liquidity_weighted_overlaps",
    "market_depth",
    "network_valuation",
    "rogers_veraart",
    "sink_rank",
    "suzuki",
    "threshold_cascade",
    "valuations",
    "variation_margin",
    "vulnerability_matrix",
    "vulnerable_banks",
]
