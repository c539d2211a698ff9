-- One row per endpoint update.
-- Names and types are those of schemas/endpoint_updates.avsc: there is nothing to rename or to cast.
select * from lake.endpoint_updates
