-- One row per event.
-- Names and types are those of schemas/events.avsc, promoted attributes after them: there is nothing to rename or to cast.
select * from lake.events
