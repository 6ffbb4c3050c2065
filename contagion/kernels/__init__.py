"""The solver's arithmetic: arrays in, arrays out; no labels, no tables, no exceptions.

``inputs`` names the arrays, ``accounts`` evaluates and liquidates margin accounts, ``markets`` clears markets,
``credit`` passes losses from node to node, ``rounds`` puts one round together and repeats it, and ``outcome`` says what
follows from its end.
"""

from contagion.kernels.inputs import Accounts, Inputs, Markets, Nodes, Positions, Quotes
from contagion.kernels.outcome import Outcome, settle
from contagion.kernels.reaction import State
from contagion.kernels.rounds import Record, Rounds, iterate

__all__ = [
    "Accounts",
    "Inputs",
    "Markets",
    "Nodes",
    "Outcome",
    "Positions",
    "Quotes",
    "Record",
    "Rounds",
    "State",
    "iterate",
    "settle",
]
