"""One script per notebook of the assignment, and the bench."""
