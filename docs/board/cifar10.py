"""The study recipe in 11 epochs"""

BUDGET = "cifar10"
OPTIONS = {"epochs": 11}
