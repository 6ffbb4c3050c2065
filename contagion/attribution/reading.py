"""How shares may be read: one by one, or only in sum."""

from __future__ import annotations

from contagion.attribution.adjoint import Stability
from contagion.kernels.inputs import Floats

__all__ = ["reading"]


def reading(target: str, stability: Stability, absolute: float, against: Floats) -> str:
    """Return in words how the shares of sources may be read.

    ``absolute`` is the sum of their absolute values, ``against`` are the shares of flows that run the other way.
    """
    radius = f"ρ = {stability.spectral_radius:.3f}"
    if not stability.readable:
        return (
            f"Shares add up to the {target} but may not be read one by one: gains and losses of hedged books nearly "
            f"cancel ({radius}, sign of det(I − M) {stability.determinant_sign:+.0f}, absolute shares {absolute:.2f})."
        )
    if absolute > 1.0 + 1e-9:
        return (
            "Negative shares belong to what softened the loss, short covering and gains on hedges "
            f"(absolute shares {absolute:.2f}, {radius})."
        )
    said = f"Every share is what its source caused, feedback included ({radius})."
    if not against.size:
        return said
    return (
        f"{said} {against.size} flows run against it, {-100.0 * against.sum():.2g} % of the {target}, where hedges "
        "bought back or gained; `paths` says how many of its paths are proven to be the largest."
    )
