"""The experiments with hand-written nets, one script for each study."""
