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
from contagion.clearing.clearing_vector import Clearing
from contagion.clearing.debtrank import Distress, Systemic, debtrank, debtrank_all
from contagion.clearing.eisenberg_noe import eisenberg_noe
from contagion.clearing.elsinger import LayeredClearing, elsinger, suzuki
from contagion.clearing.network_valuation import Valued, jacobian, network_valuation
from contagion.clearing.rogers_veraart import rogers_veraart
from contagion.clearing.valuations import Book, Valuation
from contagion.clearing.variation_margin import Margins, variation_margin

__all__ = [
    "Book",
    "Cascade",
    "Clearing",
    "Distress",
    "LayeredClearing",
    "Margins",
    "Systemic",
    "Valuation",
    "Valued",
    "debtrank",
    "debtrank_all",
    "eisenberg_noe",
    "elsinger",
    "furfine",
    "jacobian",
    "network_valuation",
    "rogers_veraart",
    "suzuki",
    "threshold_cascade",
    "valuations",
    "variation_margin",
]
