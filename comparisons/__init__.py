"""Every hand-written gradient compared with torch's, number by number: the only place where from_scratch meets torch.

To prove a new layer: torch's counterpart in `reference*.py`, a case in `cases_*.py`, and in `mistakes_*.py` a mistake
or two that the case must catch. A new net: the same net in torch in `reference_nets.py`, a row in `nets.py`, a mistake
in `mistakes.py`. The suite fails for what has none. A solution in another form than from_scratch's own goes into
`solutions_*.py`, and must be accepted.

`case.py` says how a function is run on both sides, `parity.py` compares, `causes.py` guesses what went wrong.
`checks.py` makes the checks of an exercise from its cases, so that it turns green little by little.
`verdicts.py` says what is wrong with a function that a student wrote: one of `exercise.py`, or of a whole `cs231n`
package, which `student.py` compares with torch; the planted mistakes are the causes that it knows.
`python -m comparisons` runs all of it; `.report`, `.race` and `.exercise` are programs too.
"""
