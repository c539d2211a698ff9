-- One row per endpoint update.
select * from lake.endpoint_updates
