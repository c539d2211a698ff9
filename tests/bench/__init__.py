"""What Headwater costs, measured: `python -m tests.bench` prints one table and never fails for a time.

`ground.py` is the stack that it runs on; `stages.py`, `path.py`, `answers.py`, `freshness.py`, `memory.py`, `size.py`, `up.py` and `peer_runs.py` measure, a
section each; `report.py` holds the rows against the budgets, prints, keeps and compares them.
"""
