"""Every hand-written gradient held against torch's, number by number: the only place where NumPy and torch meet.

To prove a new layer: one line in `cases_*.py` (its arguments' shapes, and torch's counterpart, from `adapters*.py`
where the conventions differ), and a mistake or two in `planted_*.py` that the case must catch. A new net: its torch
twin in `twins.py`, a row in `nets.py`, a mistake in `planted_nets.py`. The suite fails for what has none.

`case.py` says how a function is run on both sides, `parity.py` compares, `causes.py` guesses what went wrong.
`python -m comparisons` runs all of it; `.report`, `.race` and `.exercise` are programs too.
"""
