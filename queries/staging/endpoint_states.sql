-- One row per thing that is kept of merged endpoints, told apart by kind.
select * from lake.endpoint_states
