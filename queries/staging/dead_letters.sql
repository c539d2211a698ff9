-- One row per record that did not become an event.
select * from lake.dead_letters
