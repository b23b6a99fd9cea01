"""apm_exp: which of my preference pairs are worth training on?"""

import os

# Idle OpenMP threads spin by default; on a busy machine with few cores that makes small models 25 times slower.
# It must be set before torch is imported anywhere in the process.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.1.0"
