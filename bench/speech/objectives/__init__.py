"""Objectives: CTC, transducer, prediction of the next label."""
