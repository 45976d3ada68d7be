"""How far is too far: the tail of one side of a column, fitted so that clean data stay quiet.

The model is the generalised Pareto distribution of peaks over a threshold (J. Pickands,
"Statistical inference using extreme order statistics", Annals of Statistics 3 (1975) 119-131),
fitted to *squared* distances from the median: the squared excess of normal data is nearly
exponential, so that normal tails are shape 0 and anything heavier is a positive shape. Three
choices keep the promise about false flags:

* The largest exceedances are censored: they count as "beyond", not by their size, so a few
  outliers cannot stretch the tail until they look ordinary.
* Shape and scale are averaged over their posterior on a grid instead of being fitted as a point;
  a point estimate extrapolated by three decades is far too sure of itself. The prior leans
  towards light tails.
* A long column counts as at most `MOST_EVIDENCE` exceedances: more data do not make a model of
  the tail truer than it is.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numpy import float64
    from numpy.typing import NDArray

    Floats = NDArray[float64]

FEWEST_EXCEEDANCES = 8
MOST_EVIDENCE = 300.0
NODES = 80
"""Long tails are read at this many evenly spaced order statistics."""
CENSORED_SHARE = 0.10
SHAPES = (1e-6, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8, 1.0, 1.3, 1.7, 2.2, 3.0)
SHAPE_PRIOR = 0.5
"""Mean of the exponential prior on the shape."""
SCALE_STEPS = 14
SMALLEST = 1e-30
"""Probabilities below this are all the same: impossible."""


@dataclass(frozen=True)
class Tail:
    """The distribution of distances from the median on one side of a column.

    Attributes:
        share: share of all values that lie beyond the threshold.
        threshold: distance from the median where the model begins.
        unit: distances are divided by this before they are squared.
        shapes: shapes of the generalised Pareto distributions that are averaged.
        scales: their scales.
        weights: their posterior probabilities.
    """

    share: float
    threshold: float
    unit: float
    shapes: "Floats"
    scales: "Floats"
    weights: "Floats"

    def log10_survival(self, distances: "Floats") -> "Floats":
        """Log10 of the probability that a value lies at least this far out; 0 at the threshold."""
        import numpy as np

        excess = squared_excess(distances, self.threshold, self.unit)
        if len(excess) <= NODES:
            logs = self._log10_of_excess(excess)
        else:
            unit = float(self.scales.mean())
            steps = np.linspace(0, math.log1p(max(float(excess.max()), 0.0) / unit), NODES * 2)
            grid = np.expm1(steps) * unit
            logs = np.interp(excess, grid, self._log10_of_excess(grid))
        return np.where(excess <= 0, 0.0, logs)

    def distance(self, log10_probability: float) -> float:
        """The distance whose survival is given, by bisection; the threshold if it lies inside."""
        import numpy as np

        def lies_inside(distance: float) -> bool:
            return bool(self.log10_survival(np.array([distance]))[0] > log10_probability)

        low, high = self.threshold, self.threshold + self.unit
        while lies_inside(high):
            low, high = high, high * 2
            if high > self.unit * 1e100:
                return math.inf
        for _ in range(30):
            middle = (low + high) / 2
            low, high = (middle, high) if lies_inside(middle) else (low, middle)
        return high

    def _log10_of_excess(self, excess: "Floats") -> "Floats":
        import numpy as np

        ratios = self.shapes / self.scales
        terms = np.exp(-np.log1p(np.maximum(excess, 0)[:, None] * ratios) / self.shapes)
        survival = self.share * (terms @ self.weights)
        return np.log10(np.maximum(survival, SMALLEST))


def squared_excess(distances: "Floats", threshold: float, unit: float) -> "Floats":
    """How far squared distances lie beyond the squared threshold, in squared units."""
    import numpy as np

    # A product of sum and difference, for precision near the threshold; the bound only keeps
    # absurd values finite.
    scaled, bound = np.minimum(distances / unit, 1e100), threshold / unit
    return (scaled - bound) * (scaled + bound)


def tail_share(n: int) -> float:
    """The share of values that the model of a tail is fitted to: fewer, the more there are."""
    return 0.25 * min(1.0, math.sqrt(math.sqrt(200 / n)))


def fit_tail(distances: "Floats", n: int) -> Tail | None:
    """Fit the tail of one side of a column.

    Args:
        distances: positive distances from the median of the values on this side.
        n: number of values in the whole column.

    Returns:
        The tail, or None when too few different values lie on this side to speak of one.
    """
    import numpy as np

    wanted = math.ceil(tail_share(n) * n)
    threshold = 0.0
    exceeding = distances
    if wanted < len(distances):
        threshold = float(np.partition(distances, -wanted - 1)[-wanted - 1])
        exceeding = distances[distances > threshold]
    if len(exceeding) < FEWEST_EXCEEDANCES:
        return None
    unit = threshold if threshold > 0 else float(np.median(exceeding))
    posterior = _posterior(np.sort(squared_excess(exceeding, threshold, unit)))
    if posterior is None:
        return None
    return Tail(len(exceeding) / n, threshold, unit, *posterior)


def _posterior(excess: "Floats") -> tuple["Floats", "Floats", "Floats"] | None:
    """Shapes, scales and how well each pair explains the sorted excesses; None without spread."""
    import numpy as np

    count = len(excess)
    censored = max(2, math.ceil(CENSORED_SHARE * count))
    seen, limit = excess[:-censored], excess[-censored - 1]
    typical = float(np.minimum(excess, limit).mean()) * count / (count - censored)
    if limit <= 0 or not math.isfinite(typical):
        return None
    evidence = min(1.0, MOST_EVIDENCE / count)
    weight = evidence
    if len(seen) > NODES:
        places = ((np.arange(NODES) + 0.5) / NODES * len(seen)).astype(int)
        weight = evidence * len(seen) / NODES
        seen = seen[places]
    shapes, scales = (
        axis.ravel()
        for axis in np.meshgrid(
            np.array(SHAPES), typical * np.geomspace(0.2, 2.5, SCALE_STEPS), indexing="ij"
        )
    )
    logs = np.log1p(np.outer(seen, shapes / scales)).sum(axis=0)
    likelihood = -weight * (len(seen) * np.log(scales) + (1 + 1 / shapes) * logs)
    likelihood -= evidence * censored / shapes * np.log1p(shapes * limit / scales)
    likelihood -= shapes / SHAPE_PRIOR
    weights = np.exp(likelihood - likelihood.max())
    keep = weights > 1e-9
    return shapes[keep], scales[keep], weights[keep] / weights[keep].sum()
