-- A value: the subject of an event within its app, VARCHAR; null for an event without an endpoint, which is nobody's.
-- kind: 'endpoint', or 'user': an endpoint without a user is then a subject of its own, never the same as a user of that name.
create macro subject_key(kind, endpoint_id, user_id) as
    case
        when coalesce(endpoint_id, '') = '' then null
        when kind = 'user' and coalesce(user_id, '') <> '' then 'user:' || user_id
        else 'endpoint:' || endpoint_id
    end
