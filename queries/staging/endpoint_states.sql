-- One row per endpoint, user, removal and partition covered.
select * from lake.endpoint_states
