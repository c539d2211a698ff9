"""Answers: a number with its definition, the period before and a picture, out of the views and macros of queries/."""
