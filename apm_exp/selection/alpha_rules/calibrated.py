"""The alpha rule `calibrated`: the policy's margins predict the reward's as well as possible."""

import numpy as np


def calibrated(explicit_P: np.ndarray, implicit_P: np.ndarray) -> float:
    """Return the slope, at least 0, of a least-squares line through the origin from implicit to explicit margins.

    The margins are signed. By Eq. 8 of the paper, explicit = beta * implicit at the optimum; the slope is the best fit
    of beta to the present policy, which puts both terms of M_AP into the same unit. The line passes through the origin
    because swapping chosen and rejected flips both signs and must not change the result.
    """
    return max(0.0, float(explicit_P @ implicit_P) / float(implicit_P @ implicit_P))
