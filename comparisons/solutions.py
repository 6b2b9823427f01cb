"""The well-known solutions of the course's exercises, written anew from its contracts: each must be accepted.

They are plain on purpose (loops, np.random, no checks), unlike from_scratch's own, whose caches the backwards read;
what could only repeat from_scratch's own is not here. Each topic has a module of its own; here they are by name.
"""

import inspect

from comparisons import (
    solutions_conv,
    solutions_dense,
    solutions_generative,
    solutions_normalization,
    solutions_sequences,
)

MODULES = (
    solutions_dense,
    solutions_normalization,
    solutions_conv,
    solutions_sequences,
    solutions_generative,
)
SOLUTIONS = {name: function for module in MODULES for name, function in inspect.getmembers(module, inspect.isfunction)}
