from from_scratch.studies.shared import mirror_and_shift  # noqa: F401
