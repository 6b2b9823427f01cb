"""The study recipe"""

BUDGET = "names"
OPTIONS = {}
