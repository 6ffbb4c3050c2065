"""Networks of debts of which only totals are known, and what models say over all that fit.

``matrix[i, j]`` is what i owes j: rows are debtors, row sums total liabilities, column sums total assets. Many networks
have the same totals; `max_entropy` and `minimum_density` are two ends, `fitness` and `gandy_veraart` draw from what
lies between, and `ensemble_losses` says how far the losses of a model depend on which network it is.

>>> from contagion import clearing, reconstruct
>>> networks = reconstruct.gandy_veraart([2.7, 0.7, 3.1], [2.5, 1, 3], 0.5, chain=reconstruct.Chain(samples=200))
>>> losses = reconstruct.ensemble_losses(clearing.eisenberg_noe, networks, external_assets=[1, 0, 0])
>>> losses.total.round(2).to_dict()
{'mean': 0.48, '0.05': 0.41, '0.25': 0.41, '0.5': 0.52, '0.75': 0.54, '0.95': 0.54}
"""

from __future__ import annotations

from contagion.reconstruct.fitness import fitness, link_probabilities
from contagion.reconstruct.gandy_veraart import Chain, gandy_veraart
from contagion.reconstruct.losses import EnsembleLosses, IntervalLosses, ensemble_losses, interval_losses
from contagion.reconstruct.max_entropy import max_entropy
from contagion.reconstruct.minimum_density import minimum_density
from contagion.reconstruct.networks import Ensemble, Reconstruction

__all__ = [
    "Chain",
    "Ensemble",
    "EnsembleLosses",
    "IntervalLosses",
    "Reconstruction",
    "ensemble_losses",
    "fitness",
    "gandy_veraart",
    "interval_losses",
    "link_probabilities",
    "max_entropy",
    "minimum_density",
]
