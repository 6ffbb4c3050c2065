"""One move of the Gibbs sampler: an amount goes round a cycle of debts, and every total stays what it is."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from contagion.clearing.network import Floats

__all__ = ["BARRED", "FREE", "LONGEST", "Links", "moved"]

FREE, BARRED = -1, -2
"""Places of cells without a debt: where one may come to be, and where none may."""

LONGEST = 64
"""Most debtors in a cycle."""

_GO_ON = 0.5
"""Probability that a cycle has one more debtor; it has two at least."""


class Links(NamedTuple):
    """Debts, and lists of each bank's creditors and debtors, out of which one can be drawn at once."""

    in_row: NDArray[np.int32]  # (n, n) place of a cell in its row's list, FREE or BARRED
    in_column: NDArray[np.int32]  # (n, n) place of a linked cell in its column's list
    row_list: NDArray[np.int32]  # (n, n) creditors of each bank, as many as its degree
    column_list: NDArray[np.int32]  # (n, n) debtors of each bank
    row_degree: NDArray[np.int64]
    column_degree: NDArray[np.int64]
    amounts: Floats  # (n, n)


def moved(  # noqa: C901
    in_row: NDArray[np.int32],
    in_column: NDArray[np.int32],
    row_list: NDArray[np.int32],
    column_list: NDArray[np.int32],
    row_degree: NDArray[np.int64],
    column_degree: NDArray[np.int64],
    amounts: Floats,
    odds: Floats,
    moves: int,
    rng: np.random.Generator,
) -> None:
    """Make so many moves, in place.

    ``odds`` (n, n), or (1, 1) for all alike, is p/(1 − p) times the rate of amounts: what the density of a network
    gains by a link. A move walks along debts, from a debtor to one of its creditors, to another debtor of that one, and
    so on; the cell between the last creditor and the first debtor, linked or not, closes the cycle. Δ is taken from
    every other cell of it and added to the rest, where Δ is drawn from the density given all else: an atom at either
    end, where a cell becomes zero, and flat in between. Each outcome is weighted by the probability of walking this
    cycle from there, which depends on degrees (d − 1 for each step, d for the first, and each cell of the cycle may be
    the one that closes it, if it is the only one without a link); so moves are in balance with the density.
    """
    at_rows, at_columns = np.empty(LONGEST, dtype=np.int64), np.empty(LONGEST, dtype=np.int64)
    longest = min(amounts.shape[0], LONGEST)
    for _ in range(moves):
        k = 2
        while k < longest and rng.random() < _GO_ON:
            k += 1
        row = int(rng.random() * amounts.shape[0])
        valid = row_degree[row] > 0
        if not valid:
            continue
        column = row_list[row, int(rng.random() * row_degree[row])]
        at_rows[0], at_columns[0] = row, column
        for step in range(1, k):
            if column_degree[column] < 2:
                valid = False
                break
            pick = int(rng.random() * (column_degree[column] - 1))
            row = column_list[column, pick + (pick >= in_column[row, column])]
            if row_degree[row] < 2:
                valid = False
                break
            pick = int(rng.random() * (row_degree[row] - 1))
            column = row_list[row, pick + (pick >= in_row[row, column])]
            for other in range(step):
                if at_rows[other] == row or at_columns[other] == column:
                    valid = False
            if not valid:
                break
            at_rows[step], at_columns[step] = row, column
        if not valid or in_row[at_rows[0], at_columns[k - 1]] == BARRED:
            continue
        # the room to move: up until a lessened cell is empty, down until a raised one is
        up, down = np.inf, np.inf
        for step in range(k):
            up = min(up, amounts[at_rows[step], at_columns[step]])
            down = min(down, amounts[at_rows[(step + 1) % k], at_columns[step]])
        # weights of the outcomes, as shares of that of a network where the whole cycle is linked
        opening = int(in_row[at_rows[0], at_columns[k - 1]] < 0)
        weight_up, weight_down, walks, empty_up, empty_down = 1.0, 1.0, 0.0, 0, 0
        for cell in range(2 * k):
            step = cell % k
            row, column = at_rows[step if cell < k else (step + 1) % k], at_columns[step]
            row_others = row_degree[row] - 1.0 + (opening if row == at_rows[0] else 0)
            column_others = column_degree[column] - 1.0 + (opening if column == at_columns[k - 1] else 0)
            walks += column_others * row_others / (row_others + 1.0)
            gain = odds[row, column] if odds.shape[0] > 1 else odds[0, 0]
            if cell < k and amounts[row, column] <= up:
                empty_up += 1
                weight_up *= column_others / gain
            elif cell >= k and amounts[row, column] <= down:
                empty_down += 1
                weight_down *= column_others / gain
        weight_between = walks * (up + down)
        empty_up, empty_down = empty_up if weight_up > 0.0 else 0, empty_down if weight_down > 0.0 else 0
        if empty_up > 1 or empty_down > 1:  # a network with one link less is infinitely denser
            weight_between = 0.0
            if empty_up != empty_down:
                weight_up, weight_down = (1.0, 0.0) if empty_up > empty_down else (0.0, 1.0)
        choice = rng.random() * (weight_up + weight_down + weight_between)
        if choice < weight_up:
            change, end = up, 1
        elif choice < weight_up + weight_down:
            change, end = -down, -1
        else:
            change, end = -down + rng.random() * (up + down), 0
            if change <= -down or change >= up:
                continue
        if change == 0.0:
            continue
        for cell in range(2 * k):
            step = cell % k
            sign = 1 if cell < k else -1
            row, column = at_rows[step if cell < k else (step + 1) % k], at_columns[step]
            after = amounts[row, column] - sign * change
            if end == sign and after <= 0.0:
                amounts[row, column] = 0.0
                place = in_row[row, column]
                if place >= 0:  # the last of each list takes its place
                    row_degree[row] -= 1
                    last = row_list[row, row_degree[row]]
                    row_list[row, place], in_row[row, last] = last, place
                    in_row[row, column] = FREE
                    place = in_column[row, column]
                    column_degree[column] -= 1
                    last = column_list[column, column_degree[column]]
                    column_list[column, place], in_column[last, column] = last, place
                continue
            amounts[row, column] = after
            if in_row[row, column] < 0:
                in_row[row, column], in_column[row, column] = row_degree[row], column_degree[column]
                row_list[row, row_degree[row]], column_list[column, column_degree[column]] = column, row
                row_degree[row] += 1
                column_degree[column] += 1
