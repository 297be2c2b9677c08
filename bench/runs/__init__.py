"""Runs, from a configuration to a record.

resolve.py                 card, recipe, file and command line -> one configuration
run.py, run_folder.py      carrying out, resuming and recording a configuration
fitting.py                 baselines as runs
finished.py, outputs.py    finished runs, their weights and their outputs
ensembles.py, lineage.py   several runs together; stages of training
dry_run.py, memory.py      needs of a run, estimated before it starts
error_curves.py            scores of groups of units
provenance.py              code, packages and machine
"""
