"""Which addresses jobs of an app may use: the app's own folder or what HEADWATER_JOB_URLS says, never the lake's own nor that of reports."""

from pipeline.config import Settings
from pipeline.endpoints.files.addresses import check_address, split_s3
from schemas.errors import UsageError


def check_job_url(settings: Settings, app_id: str, address: str) -> None:
    """Raises UsageError for an address that is not s3://, is the lake's or the reports', or is under none of those that the app may use."""
    asked = split_s3(address)
    check_address(settings, address)
    if _is_under(asked, (settings.s3_bucket, "jobs")):
        raise UsageError(f"Address '{address}' is the folder of jobs' reports, s3://{settings.s3_bucket}/jobs; expected another prefix.")
    allowed = allowed_urls(settings, app_id)
    if not any(_is_under(asked, split_s3(prefix)) for prefix in allowed):
        raise UsageError(
            f"Address '{address}' is under none of those that jobs of app '{app_id}' may use: {', '.join(allowed)}; expected one under "
            "them. Setting HEADWATER_JOB_URLS says which they are."
        )


def allowed_urls(settings: Settings, app_id: str) -> list[str]:
    """Prefixes that jobs of an app may use; {app_id} in the setting stands for the app."""
    prefixes = settings.job_urls or (f"s3://{settings.s3_bucket}/apps/{{app_id}}/",)
    return [prefix.replace("{app_id}", app_id) for prefix in prefixes]


def _is_under(asked: tuple[str, str], allowed: tuple[str, str]) -> bool:
    return asked[0] == allowed[0] and (not allowed[1] or f"{asked[1]}/".startswith(f"{allowed[1]}/"))
