"""Tables as a directed multigraph and back.

::

    graph node   a row of nodes, assets, markets or accounts; its key is the name, with "table:" before it if an
                 earlier row has that name already; attributes kind, name, table, row and the columns of the row
    graph edge   a row of another table; attributes kind, amount (USD), table, row and the columns of the row

    positions    account → asset      collateral, debt, perp; amount at the price of the platform's own market, else of
                                      all markets of the asset, weighted by depth; 0 without a market
    claims       creditor → debtor    claim; amount as it stands
    quotes       account → market     quote; amount is the depth
    funding      account → source     funding; amount 0
    terms        platform → asset     terms; amount 0
    oracles      platform → market    oracle; amount 0; to the asset if the price is fixed
    routes       platform → market    route; amount 0
    arbitrage    market_a → market_b  arbitrage; amount is the depth

Edges with an empty ``table`` repeat what rows say, so that the graph hangs together, and are passed over on the way
back: margin (account → platform), owner, issuer, venue, asset and pegged_to with an amount of 0, and the other
direction of arbitrage.
"""

from __future__ import annotations

from contagion.network.from_graph import tables_of
from contagion.network.to_graph import to_networkx

__all__ = ["tables_of", "to_networkx"]
