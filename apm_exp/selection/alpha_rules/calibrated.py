"""The alpha at which the policy's margins predict the reward's best."""

import numpy as np


def calibrated(explicit_P: np.ndarray, implicit_P: np.ndarray) -> float:
    """The slope, at least 0, of the least-squares line through the origin from implicit to explicit margins, signed.

    Eq. 8 of the paper says explicit = beta * implicit at the optimum: this is the beta that fits it best now, so that
    both terms of M_AP are in one unit. Through the origin, because naming the other answer the chosen one turns both
    signs and must change nothing.
    """
    return max(0.0, float(explicit_P @ implicit_P) / float(implicit_P @ implicit_P))
