"""`headwater up`: start the local stack."""

import typer

from pipeline.config import load_settings
from pipeline.report import print_rows
from pipeline.stack.lifecycle import start_stack
from pipeline.stack.status import process_rows, read_processes

app = typer.Typer()


@app.command()
def up(
    workers: int | None = typer.Option(None, "--workers", min=0, help="Workers to run; default: HEADWATER_LOCAL_WORKERS."),
    without_worker: bool = typer.Option(False, "--without-worker", help="Start Kafka, S3, the API and maintenance, no worker."),
) -> None:
    """Start the local stack (Kafka, S3, workers, HTTP API, maintenance) and wait until it answers; harmless when it runs already."""
    count = 0 if without_worker else workers
    settings = load_settings() if count is None else load_settings(local_workers=count)
    start_stack(settings)
    columns, rows = process_rows(read_processes(settings))
    print_rows(columns, rows)
    api = f"   API http://127.0.0.1:{settings.api_address_port}" if settings.local_api else ""
    print(
        f"Kafka {settings.kafka_servers}   S3 {settings.s3_endpoint or f'http://127.0.0.1:{settings.s3_port}'}   state {settings.home}/{api}"
    )
