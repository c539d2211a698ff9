-- One row per dead letter and step of its replay.
select * from lake.dead_letter_replays
