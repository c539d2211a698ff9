-- One row per event: bot or internal with the rule that says so; the event stays, queries leave it out.
select
    * replace (
        -- Internal comes first: who runs the service named those endpoints and networks.
        case when internal_rule is not null then 'internal' when agent_bot_rule is not null then 'bot' end as traffic,
        coalesce(internal_rule, agent_bot_rule) as traffic_rule
    )
from input
