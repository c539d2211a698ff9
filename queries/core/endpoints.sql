-- One row per app_id and endpoint that is not deleted.
-- All updates that landed are in it, merged by the rules of queries/README.md; ids that differ only in case are one endpoint.
select
    facts.* exclude (endpoint_key) replace (
        case when facts.user_id is null then facts.user_attributes else coalesce(shared.user_attributes, map {}::map(varchar, varchar[])) end as user_attributes
    )
from core.endpoint_facts as facts
left join core.user_attributes as shared on facts.app_id = shared.app_id and facts.user_id = shared.user_id
