"""A made-up shop whose people, devices and messages give stream records, with the true answers beside them.

`plan.py` says what is asked for, `shop.py` and `devices.py` what there is, `people.py` who there is; `sessions.py` and
`sends.py` write records, `dirt.py` spoils a share of them; `timeline.py` puts all in the order of sending; `write.py` sends,
`preload.py` sends a small part of it over and over with other ids, for measurements; `ledger.py` keeps the true answers, `compare.py` asks SQL for the same.
"""
