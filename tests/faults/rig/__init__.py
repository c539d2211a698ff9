"""What every row uses: schedules, load and ledger, checkers and verdict, workers with failpoints, figures."""
