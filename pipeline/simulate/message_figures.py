"""The figures of messages: what the ledger says of those of one channel and one cause, from which of them what is known."""

from collections.abc import Mapping

# A message to an endpoint: the endpoint's id, and what tells the message from others.
Key = tuple[str, str]

# What core.deliveries says too.
CORE_FIGURES = (
    *("sent", "delivered", "bounced", "hardbounced", "softbounced", "rejected", "failed", "complained", "opted_out", "opt_outs"),
    *("opened", "opens", "machine_opened", "machine_opens", "clicked", "clicks", "machine_clicked", "machine_clicks"),
)
# Of these, how often, whatever the message: by what of them.
TIMES = {
    "opens": "opened",
    "clicks": "clicked",
    "machine_opens": "machine_opened",
    "machine_clicks": "machine_clicked",
    "opt_outs": "opted_out",
}
# Of texts alone: parts of all messages and of those delivered, and what they cost in thousandths of a US cent.
TEXT_FIGURES = ("parts", "delivered_parts", "price_millicents")
# What KPIs alone count: deliveries by their other definitions, what all readers opened of each, and endpoints.
KPI_FIGURES = (
    *("unless_hardbounced", "unless_bounced", "all_opened", "opened_of_sent", "opened_of_delivered", "opened_of_unless_hardbounced"),
    *("people_opened_of_unless_hardbounced", "reached_endpoints", "opened_endpoints", "clicked_endpoints"),
)


def count_figures(known: Mapping[str, set[Key]], often: Mapping[str, int]) -> dict[str, float]:
    """All figures but those of texts alone: of messages of which something is `known`, and how often they were opened, clicked, opted out of."""
    sets = refine(known)
    counts: dict[str, float] = {name: len(sets[name]) for name in (*CORE_FIGURES, *KPI_FIGURES) if name in sets}
    for name, kind in (("reached", "unless_hardbounced"), ("opened", "all_opened"), ("clicked", "all_clicked")):
        counts[f"{name}_endpoints"] = len({endpoint_id for endpoint_id, _ in sets[kind]})
    counts |= {name: often.get(kind, 0) for name, kind in TIMES.items()}
    return {name: counts[name] for name in (*CORE_FIGURES, *KPI_FIGURES)}


def refine(known: Mapping[str, set[Key]]) -> dict[str, set[Key]]:
    """The messages of each figure, from the kinds of news that came of them."""
    sets = {name: known.get(name, set()) for name in (*CORE_FIGURES, "rendering_failed") if name not in TIMES}
    sent = sets["sent"]
    # What could not be written was not sent, unless something else is known of it.
    sets["rejected"] = (sets["rejected"] | sets["rendering_failed"]) & sent
    sets["bounced"] = sets["hardbounced"] | sets["softbounced"]
    # Put off and then refused for good is refused.
    sets["softbounced"] = sets["softbounced"] - sets["hardbounced"]
    sets["unless_hardbounced"] = sent - sets["hardbounced"] - sets["failed"]
    sets["unless_bounced"] = sent - sets["bounced"] - sets["rejected"] - sets["failed"]
    sets["all_opened"] = sets["opened"] | sets["machine_opened"]
    sets["all_clicked"] = sets["clicked"] | sets["machine_clicked"]
    sets["opened_of_sent"] = sets["all_opened"] & sent
    sets["opened_of_delivered"] = sets["all_opened"] & sets["delivered"]
    sets["opened_of_unless_hardbounced"] = sets["all_opened"] & sets["unless_hardbounced"]
    sets["people_opened_of_unless_hardbounced"] = sets["opened"] & sets["unless_hardbounced"]
    return sets
