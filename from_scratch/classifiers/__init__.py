"""The course's nets."""
