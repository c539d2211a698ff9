"""Renews deploy/local/artifacts.json, the lock of the Java programs: python -m pipeline.stack.lock."""

import hashlib
import json
from typing import Any

from jgo.maven import MavenContext

from pipeline.stack.artifacts import LOCK_FILE, build_context

# slf4j-simple and not log4j's binding: with that one the resolver picks older Kafka clients.
KAFKA = ("org.apache.kafka:kafka_2.13:4.3.1", "org.slf4j:slf4j-simple:1.7.36")
S3PROXY = ("org.gaul", "s3proxy", "4.1.0", "jar-with-dependencies")


def main() -> None:
    """Resolve both programs as Maven would and write each jar with its size and sha256."""
    context = build_context()
    lock = {"kafka": resolve_kafka(context), "s3": [resolve_s3(context)]}
    programs = [f'  "{name}": [\n' + ",\n".join(f"    {json.dumps(row)}" for row in rows) + "\n  ]" for name, rows in lock.items()]
    LOCK_FILE.write_text("{\n" + ",\n".join(programs) + "\n}\n")
    print(f"{LOCK_FILE}: {sum(map(len, lock.values()))} jars")


def resolve_kafka(context: MavenContext) -> list[dict[str, Any]]:
    """Kafka's jars, sorted by name."""
    wanted = [context.create_dependency(coordinate) for coordinate in KAFKA]
    inputs, dependencies = context.resolver.resolve(wanted)
    rows = {_row(dependency.artifact)["artifact"]: _row(dependency.artifact) for dependency in [*inputs, *dependencies]}
    return sorted(rows.values(), key=lambda row: (row["group"], row["artifact"]))


def resolve_s3(context: MavenContext) -> dict[str, Any]:
    """s3proxy's one jar, its libraries inside."""
    group, artifact, version, classifier = S3PROXY
    return _row(context.project(group, artifact).at_version(version).artifact(classifier=classifier))


def _row(artifact: Any) -> dict[str, Any]:
    body = artifact.resolve().read_bytes()
    return {
        "group": artifact.groupId,
        "artifact": artifact.artifactId,
        "version": artifact.version,
        "classifier": artifact.classifier or "",
        "bytes": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
    }


if __name__ == "__main__":
    main()
