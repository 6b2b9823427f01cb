"""The CS231n assignment in NumPy alone: every forward and backward pass written by hand."""
