"""Random scenarios around a base: Gaussian with a covariance, or days of a history drawn again."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd

from contagion.errors import instance, is_number, refuse, whole
from contagion.frozen import HandsOutCopies
from contagion.kernels.inputs import Floats
from contagion.scenario import Scenario
from contagion.sweep.scenarios import Plan

__all__ = ["Draws", "gaussian_draws", "historical_draws"]

_SLACK = 1e-10
"""Share of the largest eigenvalue by which rounding may make the smallest negative."""

Rises = Literal["clip", "refuse"]


@dataclass(frozen=True, eq=False, repr=False)
class Draws(HandsOutCopies, Plan):
    """Random scenarios around a base; made by `gaussian_draws` and `historical_draws`.

    A sequence: ``len(draws)``, ``draws[3]`` and loops give `Scenario` objects.

    Attributes
    ----------
    base : Scenario
        What they have in common; its shocks are added to what is drawn, in log terms.
    returns : DataFrame
        Log returns as drawn, before anything is clipped: one row a scenario, one column a market or asset.
    clipped_share : float
        Share of all drops that came out as rises and were set to zero.
    parameters : DataFrame
        Drops that are imposed, one row a scenario, one column ("shocks:BTC") a market or asset.
    """

    base: Scenario
    returns: pd.DataFrame = field()

    def __repr__(self) -> str:
        names = ", ".join(map(str, self.returns.columns[:5]))
        more = f" and {self.returns.shape[1] - 5} more" if self.returns.shape[1] > 5 else ""
        return f"Draws({len(self)} scenarios of {names}{more}; {self.clipped_share:.0%} of drops clipped at 0)"

    def __len__(self) -> int:
        return len(self.returns)

    @property
    def clipped_share(self) -> float:
        """Share of all drops that came out as rises and were set to zero."""
        return float((self._log_drops < 0.0).mean())

    @cached_property
    def _log_drops(self) -> Floats:
        own = [float(-np.log1p(-self.base.shocks.get(str(name), 0.0))) for name in self.returns.columns]
        drops: Floats = np.array(own) - self.returns.to_numpy(dtype=np.float64)
        return drops

    @cached_property
    def _drops(self) -> Floats:
        drops = -np.expm1(-np.maximum(self._log_drops, 0.0))
        return np.minimum(drops, np.nextafter(1.0, 0.0)) + 0.0

    @property
    def parameters(self) -> pd.DataFrame:
        """Drops that are imposed, one row a scenario, one column ("shocks:BTC") a market or asset."""
        return pd.DataFrame(self._drops, columns=[f"shocks:{name}" for name in self.returns.columns])

    def scenario(self, number: int) -> Scenario:
        """Return one scenario, counted from 0."""
        drawn = dict(zip(map(str, self.returns.columns), self._drops[number].tolist(), strict=True))
        return replace(self.base, shocks={**self.base.shocks, **drawn})

    def name(self, _: int, /) -> str:
        """Return the name of the base."""
        return self.base.name


def gaussian_draws(
    count: int,
    covariance: pd.DataFrame,
    seed: int = 0,
    base: Scenario | None = None,
    horizon: float = 1.0,
    rises: Rises = "clip",
) -> Draws:
    """Return random scenarios whose log returns are Gaussian with a covariance and no drift, for `contagion.sweep`.

    Parameters
    ----------
    count : int
        Number of scenarios.
    covariance : DataFrame
        Covariance of log returns over one period: index and columns are the same markets or assets.
    seed : int
        Seed of the draws; the same numbers always come out, and the first rows of a longer draw are those of a shorter.
    base : Scenario, optional
        What they have in common; its log drops are added to those drawn. By default nothing. A market's own shock in
        it wins over what is drawn for its asset, as in any scenario.
    horizon : float
        Periods: the covariance is multiplied by it.
    rises : {"clip", "refuse"}
        What becomes of a price that would rise, for scenarios only hold drops: it stays where it is (so losses of
        shorts are understated, and drops average more than their mean), or the draw is refused.

    Returns
    -------
    Draws
        The scenarios; ``returns`` has the draws before clipping.

    Raises
    ------
    InputError
        If an argument does not fit, or the covariance is not square, symmetric or positive semidefinite.

    Notes
    -----
    Draws are z·√Λ·Vᵀ with the eigenvectors of the covariance, each with its largest entry positive, so that matrices
    of lower rank work too (Glasserman 2003, section 2.3.3).

    Examples
    --------
    >>> import pandas as pd
    >>> daily = pd.DataFrame([[0.04, 0.03], [0.03, 0.09]], index=["BTC", "ETH"], columns=["BTC", "ETH"])
    >>> draws = gaussian_draws(10_000, daily)
    >>> draws.returns.cov().round(2).to_numpy().tolist()
    [[0.04, 0.03], [0.03, 0.09]]
    """
    problems = _check(count, seed, base, rises)
    if not (is_number(horizon) and horizon > 0.0):
        problems.append(f"horizon is {horizon!r}; give a positive number of periods")
    problems += _check_covariance(covariance)
    refuse(problems, "gaussian_draws")
    matrix = covariance.loc[:, covariance.index].to_numpy(dtype=np.float64)
    value, vector = np.linalg.eigh((matrix + matrix.T) / 2.0)
    largest = np.take_along_axis(vector, np.abs(vector).argmax(axis=0)[None, :], axis=0)
    root = vector * np.where(largest < 0.0, -1.0, 1.0) * np.sqrt(np.maximum(value, 0.0) * horizon)
    normal, drawn = np.random.default_rng(seed).standard_normal((count, value.size)), np.zeros((count, value.size))
    for factor in range(value.size):  # a matrix product may add in another order when there are more rows
        drawn += normal[:, factor, None] * root[:, factor]
    return _drawn(base, pd.DataFrame(drawn, columns=list(covariance.index)), rises)


def historical_draws(
    count: int,
    returns: pd.DataFrame,
    seed: int = 0,
    base: Scenario | None = None,
    horizon: int = 1,
    rises: Rises = "clip",
) -> Draws:
    """Return random scenarios that repeat days of a history, all assets of a day together, for `contagion.sweep`.

    Parameters
    ----------
    count : int
        Number of scenarios.
    returns : DataFrame
        Log returns, ln(price / price before): one row a date, in order, one column a market or asset, no gaps.
    seed : int
        Seed of the draws.
    base : Scenario, optional
        What they have in common; its log drops are added to those drawn. By default nothing. A market's own shock in
        it wins over what is drawn for its asset, as in any scenario.
    horizon : int
        Rows that each scenario adds up: so many consecutive dates, which keeps what one day does to the next.
    rises : {"clip", "refuse"}
        What becomes of a price that would rise, for scenarios only hold drops: it stays where it is (so losses of
        shorts are understated, and drops average more than their mean), or the draw is refused.

    Returns
    -------
    Draws
        The scenarios; ``returns`` has the draws before clipping.

    Raises
    ------
    InputError
        If an argument does not fit, or the history holds gaps or is shorter than the horizon.

    Notes
    -----
    A bootstrap of rows (Efron 1979), of moving blocks if the horizon is longer (Künsch 1989).

    Examples
    --------
    >>> import pandas as pd
    >>> history = pd.DataFrame({"BTC": [-0.1, 0.02], "ETH": [-0.2, 0.01]})
    >>> draws = historical_draws(100, history, seed=1)
    >>> sorted(set(draws.parameters["shocks:ETH"].round(6)))
    [0.0, 0.181269]
    """
    problems = _check(count, seed, base, rises) + whole("horizon", horizon, 1) + _check_returns(returns)
    if not problems and len(returns) < horizon:
        problems.append(f"returns has {len(returns)} rows; give at least the {horizon} of the horizon")
    refuse(problems, "historical_draws")
    values = returns.to_numpy(dtype=np.float64)
    first = np.random.default_rng(seed).integers(len(values) - horizon + 1, size=count)
    summed = np.zeros((count, values.shape[1]))
    for day in range(horizon):
        summed += values[first + day]
    return _drawn(base, pd.DataFrame(summed, columns=list(returns.columns)), rises)


def _drawn(base: Scenario | None, returns: pd.DataFrame, rises: Rises) -> Draws:
    made = Draws(Scenario() if base is None else base, returns)
    if rises == "refuse" and made.clipped_share > 0.0:
        refuse(
            [
                f"{made.clipped_share:.1%} of the drops drawn are rises, which scenarios cannot hold; "
                'set rises="clip" to leave those prices where they are, or give a base that falls further'
            ],
            "draws",
        )
    return made


def _check(count: object, seed: object, base: object, rises: object) -> list[str]:
    problems = whole("count", count, 1) + whole("seed", seed, 0)
    problems += instance("base", base, (Scenario, type(None)), "a Scenario, or None for none")
    if isinstance(base, Scenario):
        wrong = [f"{name!r} is {drop!r}" for name, drop in base.shocks.items() if not 0.0 <= drop < 1.0]
        problems += [f"base: shocks of {', '.join(wrong)}; give a drop of at least 0 and below 1"] if wrong else []
    if rises not in ("clip", "refuse"):
        problems.append(f"rises is {rises!r}; give 'clip' or 'refuse'")
    return problems


def _check_covariance(given: object) -> list[str]:
    if not isinstance(given, pd.DataFrame):
        return [f"covariance is a {type(given).__name__}; give a DataFrame with names as index and columns"]
    unnamed = [name for name in given.index if not isinstance(name, str)]
    if unnamed or not given.index.is_unique or sorted(given.index) != sorted(map(str, given.columns)) or given.empty:
        return ["covariance: index and columns differ or repeat; give one row and one column for each market or asset"]
    if any(kind.kind not in "iuf" for kind in given.dtypes):
        return ["covariance holds cells that are not numbers; mend them"]
    matrix = given.loc[:, given.index].to_numpy(dtype=np.float64)
    if not np.isfinite(matrix).all():
        return ["covariance holds empty or infinite cells; fill them"]
    scale = float(np.abs(matrix).max())
    if np.abs(matrix - matrix.T).max() > _SLACK * scale:
        return ["covariance is not symmetric; give the same number on both sides of the diagonal"]
    least = float(np.linalg.eigvalsh((matrix + matrix.T) / 2.0)[0])
    if least < -_SLACK * max(scale, 0.0) * len(matrix):
        return [f"covariance is not positive semidefinite: its smallest eigenvalue is {least:.3g}; mend or shrink it"]
    return []


def _check_returns(given: object) -> list[str]:
    if not isinstance(given, pd.DataFrame) or given.empty:
        return [f"returns is {given!r}; give a DataFrame, one row a date, one column a market or asset"]
    problems = []
    if not given.columns.is_unique or not all(isinstance(name, str) for name in given.columns):
        problems.append("returns: columns repeat or are not text; name each market or asset once")
    if any(kind.kind not in "iuf" for kind in given.dtypes):
        return [*problems, "returns holds cells that are not numbers; mend them"]
    if not np.isfinite(given.to_numpy(dtype=np.float64)).all():
        problems.append("returns holds empty or infinite cells; drop those dates, or fill them")
    return problems
