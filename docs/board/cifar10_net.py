"""The study recipe in 20 epochs"""

BUDGET = "cifar10-net"
OPTIONS = {"epochs": 20}
