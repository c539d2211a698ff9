"""The locks of Python libraries, read by other rules than those that the bill of materials is made by."""


def locked_python(text: str) -> dict[str, list[str]]:
    """Hashes by name==version."""
    found: dict[str, list[str]] = {}
    for line in text.replace("\\\n", " ").splitlines():
        words = line.split()
        if words and not words[0].startswith("#"):
            found[words[0].lower()] = [word.removeprefix("--hash=sha256:") for word in words if word.startswith("--hash=")]
    return found
