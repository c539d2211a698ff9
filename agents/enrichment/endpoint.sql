-- One row per event: the user and the attributes of the endpoint that the record carries as JSON inside text.
with opened as (
    select
        *,
        -- Text that is not JSON gives nulls and stays in column endpoint; it never costs the batch.
        try(
            from_json(
                endpoint,
                '{
                    "Attributes": "MAP(VARCHAR, VARCHAR[])",
                    "User": {"UserId": "VARCHAR", "UserAttributes": "MAP(VARCHAR, VARCHAR[])"}
                }'
            )
        ) as opened_endpoint
    from input
)
select
    * exclude (opened_endpoint) replace (
        nullif(opened_endpoint.User.UserId, '') as user_id,
        opened_endpoint.Attributes as endpoint_attributes,
        opened_endpoint.User.UserAttributes as user_attributes
    )
from opened
