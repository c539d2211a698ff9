"""Which addresses jobs may use: those under HEADWATER_JOB_URLS, and never the lake's own folder."""

from pipeline.config import Settings
from pipeline.endpoints.files.addresses import check_address, split_s3
from schemas.errors import UsageError


def check_job_url(settings: Settings, address: str) -> None:
    """Raises UsageError for an address that is not s3://, is the lake's, or is under none of those that the settings allow."""
    asked = split_s3(address)
    check_address(settings, address)
    if settings.job_urls and not any(_is_under(asked, split_s3(allowed)) for allowed in settings.job_urls):
        raise UsageError(f"Address '{address}' is under none of {', '.join(settings.job_urls)}, which HEADWATER_JOB_URLS allows.")


def _is_under(asked: tuple[str, str], allowed: tuple[str, str]) -> bool:
    return asked[0] == allowed[0] and (not allowed[1] or f"{asked[1]}/".startswith(f"{allowed[1]}/"))
