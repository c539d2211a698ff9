-- One row per endpoint, user, removal and partition covered; kind tells which.
select * from lake.endpoint_states
