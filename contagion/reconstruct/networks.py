"""Reconstructed networks: one, or many that fit the same totals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from contagion.clearing.network import Floats

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["EXACT", "Ensemble", "Reconstruction", "misfit"]

EXACT = 1e-12
"""Largest residual of a reconstruction that calls itself converged."""


def misfit(matrix: Any, liabilities: Floats, assets: Floats) -> float:
    """Return the largest gap between the sums of a matrix and its totals, as a share of the total it belongs to.

    Rounding of the grand total, 1e-15 of it, is no gap: no network can do without. Where the total is zero, any amount
    beyond that counts as a gap of one.
    """
    largest, rounding = 0.0, 1e-15 * float(liabilities.sum())
    for axis, wanted in ((1, liabilities), (0, assets)):
        found = np.asarray(matrix.sum(axis=axis), dtype=np.float64).reshape(-1)
        gap = np.maximum(np.abs(found - wanted) - rounding, 0.0)
        share = np.divide(gap, wanted, out=(gap > 0.0).astype(np.float64), where=wanted > 0.0)
        largest = max(largest, float(share.max(initial=0.0)))
    return largest


@dataclass(frozen=True)
class Reconstruction:
    """One network that fits the totals; never the only one, see `ensemble_losses`.

    Parameters
    ----------
    matrix : (n, n) array or CSR array
        ``matrix[i, j]`` is what i owes j, USD.
    labels : Index
        Banks, in the order of rows and columns.
    converged : bool
    rounds : int
        Rounds of scaling, or attempts at filling.
    residual : float
        Largest gap of a row or column sum, as a share of its total.
    """

    matrix: Floats | csr_array
    labels: pd.Index[Any]
    converged: bool
    rounds: int
    residual: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "matrix", _kept(self.matrix))

    @property
    def frame(self) -> pd.DataFrame:
        """The matrix with its labels; rows are debtors, columns creditors."""
        return _frame(self.matrix, self.labels)

    @property
    def links(self) -> int:
        """Number of debtor-creditor pairs with a debt."""
        return int(np.count_nonzero(self.matrix)) if isinstance(self.matrix, np.ndarray) else int(self.matrix.nnz)

    @property
    def density(self) -> float:
        """Links as a share of all pairs of different banks."""
        return self.links / max(len(self.labels) * (len(self.labels) - 1), 1)


@dataclass(frozen=True)
class Ensemble:
    """Networks drawn from all that fit.

    Parameters
    ----------
    matrices : tuple of (n, n) CSR arrays
        In each, entry i, j is what i owes j, USD.
    labels : Index
        Banks, in the order of rows and columns.
    residual : float
        Largest gap of a row or column sum of any sample, as a share of its total. Rounding for `gandy_veraart`; for
        `fitness`, whose totals hold on average only, it is large.
    """

    matrices: tuple[csr_array, ...]
    labels: pd.Index[Any]
    residual: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "matrices", tuple(map(_kept, self.matrices)))

    def __len__(self) -> int:
        return len(self.matrices)

    def __iter__(self) -> Iterator[csr_array]:
        return iter(self.matrices)

    def __getitem__(self, sample: int) -> pd.DataFrame:
        return _frame(self.matrices[sample], self.labels)

    def __repr__(self) -> str:
        worth = f", worth {self.effective_samples:.0f} independent ones" if self.effective_samples < len(self) else ""
        return f"Ensemble({len(self)} networks of {len(self.labels)} nodes{worth})"

    @property
    def effective_samples(self) -> float:
        """How many independent draws the samples are worth, by the autocorrelation of ``links``.

        At most their number. A handful means that the chain is too short, or has not yet forgotten its start: give it
        more ``burn_in`` and ``thin`` before quantiles are trusted. Geyer (1992): autocorrelations are summed by
        pairs as long as a pair's sum is positive.
        """
        return _effective(np.asarray(self.links, dtype=np.float64))

    @property
    def links(self) -> pd.Series[int]:
        """Number of debtor-creditor pairs with a debt, by sample."""
        counts = [int(matrix.nnz) for matrix in self.matrices]
        return pd.Series(counts, index=pd.RangeIndex(len(counts), name="sample"), name="links", dtype="int64")

    @property
    def mean(self) -> pd.DataFrame:
        """Mean debt by debtor and creditor, USD."""
        total = np.zeros((len(self.labels), len(self.labels)))
        for matrix in self.matrices:
            cells = matrix.tocoo()
            total[cells.row, cells.col] += cells.data
        return _frame(total / max(len(self), 1), self.labels)

    @property
    def link_rates(self) -> pd.DataFrame:
        """Share of the samples in which debtor and creditor are linked."""
        total = np.zeros((len(self.labels), len(self.labels)))
        for matrix in self.matrices:
            cells = matrix.tocoo()
            total[cells.row, cells.col] += 1.0
        return _frame(total / max(len(self), 1), self.labels)


def _effective(values: Floats) -> float:
    """Return the number of independent draws with the variance that the mean of the values has."""
    apart = values - values.mean()
    variance = float(apart @ apart)
    if variance == 0.0:
        return float(values.size)
    spectrum = np.abs(np.fft.rfft(apart, 2 * values.size)) ** 2
    correlation = np.fft.irfft(spectrum)[: values.size] / variance
    total, first = 0.0, 0
    while first + 1 < values.size and (pair := float(correlation[first] + correlation[first + 1])) > 0.0:
        total, first = total + pair, first + 2
    return float(min(values.size / max(2.0 * total - 1.0, 1.0 / values.size), values.size))


def _kept(matrix: Any) -> Any:
    """Return a matrix with amounts that nobody can write to, on the same memory: a result stays what it is."""
    from scipy.sparse import csr_array

    amounts = (matrix if isinstance(matrix, np.ndarray) else matrix.data).view()
    amounts.flags.writeable = False
    if isinstance(matrix, np.ndarray):
        return amounts
    return csr_array((amounts, matrix.indices, matrix.indptr), shape=matrix.shape)


def _frame(matrix: Any, labels: pd.Index[Any]) -> pd.DataFrame:
    values = matrix.copy() if isinstance(matrix, np.ndarray) else matrix.toarray()
    return pd.DataFrame(values, index=labels.rename("debtor"), columns=labels.rename("creditor"))
