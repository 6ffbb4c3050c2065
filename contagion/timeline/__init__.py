"""The cascade round by round: who was set in motion when, by which price, and what that did."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from contagion import holdings
from contagion.errors import instance, refuse, whole
from contagion.frozen import HandsOutCopies
from contagion.solution import Solution, untold
from contagion.timeline import tables
from contagion.timeline.replay import replay
from contagion.timeline.story import story
from contagion.timeline.triggers import triggers

__all__ = ["Timeline", "timeline"]


@dataclass(frozen=True, eq=False)
class Timeline(HandsOutCopies):
    """What every round of a cascade did; made by `timeline`. Money in USD.

    Round 0 is the opening. Each round reads the prices of the round before, the first those that the shocks made; what
    a table says of a round holds at its end, and the last round as the solution has it.

    Attributes
    ----------
    rounds : DataFrame
        Index round. step (largest move of any unknown); called, liquidated (accounts, new in the round: margin calls,
        first sales); sold (positions closed in the round), sold_so_far, both at opening prices, collateral and perps;
        equity (all accounts), deficit (so far), depth (of all markets where it is finite), largest_drop,
        lowest_market.
    markets : DataFrame
        One row a round and market, in the order of names: round, market, price, drop, sold (so far, net of buying
        back, at opening prices), depth (what is left).
    platforms : DataFrame
        One row a round and node that holds accounts: round, platform, called, liquidated (accounts, new), sold (in
        the round), liquidated_usd (so far).
    triggers : DataFrame
        One row a round, account group and trigger. round; group ("whale @ Aave"); trigger: call, liquidation,
        stop_loss or funding (sold to answer the calls of others); accounts, new in the round; usd, what these sold in
        it; cause, what weighed most in the margin that was lost: market (a fall of its price), claims (a stop-loss fell
        for the haircut of a node), opening (below their level from the start), missing if nothing was lost; market and
        node that it was, each missing where the cause is another; drop of that market's price as the accounts saw it;
        share of the cause in all that hurt them, 0-1.
    nodes : DataFrame
        One row a round and node, in the order of names: round, node, loss (so far), haircut.
    """

    rounds: pd.DataFrame
    markets: pd.DataFrame
    platforms: pd.DataFrame
    triggers: pd.DataFrame
    nodes: pd.DataFrame

    def __repr__(self) -> str:
        count, accounts = len(self.rounds) - 1, int(self.rounds["liquidated"].sum())
        return f"Timeline({count} rounds, {accounts:,} accounts liquidated)"

    def __str__(self) -> str:
        return self.story()

    def story(self, lines: int = 12) -> str:
        """Return the rounds that matter in plain sentences, at most so many lines.

        Rounds are chosen by the USD that accounts new to them sold, and by haircuts that begin in them.
        """
        refuse(whole("lines", lines, 2), "story")
        return "\n".join(story(self.rounds, self.triggers, self.nodes, lines))


def timeline(solution: Solution) -> Timeline:
    """Return what every round of a solution did, by market, platform, account group and node.

    The rounds are run again, which gives the same states to the last digit, and takes as long as the solve did. Nothing
    is kept that has a row for each account and round.

    Parameters
    ----------
    solution : Solution
        A solved scenario.

    Returns
    -------
    Timeline
        Tables ``rounds``, ``markets``, ``platforms``, ``triggers``, ``nodes``, and a ``story()``.

    Raises
    ------
    InputError
        If something else than a Solution is given, one whose rounds looked ahead, or a greatest fixed point.

    Notes
    -----
    The market that weighed most: until an account is triggered it lost margin S(0) − S to falling prices, each price by
    (dS/dp)·(its fall), exactly, since S is linear in prices. Of several accounts the losses add up; gains on
    hedges are left out, as they explain no trigger. An account that sells to fund calls takes the losses of those that
    called on it.

    Examples
    --------
    >>> import contagion as ct
    >>> system, scenarios = ct.datasets.load("loop_lending")
    >>> told = timeline(ct.solve(system, scenarios["fall_25"]))
    >>> print(told)
    round 1: 1 account of loop @ Lending pool liquidated ($300k), mostly by Lending pool:USDe (−25%)
    end: 1 account liquidated ($300k) in 2 rounds, equity $100k → $7.8k
    """
    problems = instance("solution", solution, Solution, "a Solution (solve returns one)")
    refuse(problems + untold(solution), "timeline")
    parts = solution.parts
    grouped = holdings.groups(parts.system, parts.inputs, parts.labels)
    path = replay(parts)
    return Timeline(
        rounds=tables.rounds(solution, path),
        markets=tables.markets(parts, path),
        platforms=tables.platforms(solution, path),
        triggers=triggers(parts, grouped, path),
        nodes=tables.nodes(parts, path),
    )
