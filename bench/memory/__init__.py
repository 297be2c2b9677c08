"""The memory that a run would take, found on small parts of its batches before it is trained."""
