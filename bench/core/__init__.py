"""Settings and facts, without torch.

config.py, structs.py, yaml.py    configurations, strictly read
cards.py, suite.py, splits.py     cards of tasks and the folders of a suite
record.py, outcome.py             records of runs, written atomically
published.py, statistics.py       published rows; means, intervals and tests
ranks.py, figures.py, errors.py   ranks of processes, pictures, errors for users
"""
