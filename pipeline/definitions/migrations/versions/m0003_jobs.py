"""Jobs: imports and exports that were asked for, and how far each is."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("job_id", sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql"), primary_key=True),
        sa.Column(
            "app_id",
            sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql"),
            sa.ForeignKey("apps.app_id", ondelete="CASCADE"),
            nullable=False,
            index=True,
        ),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("definition_json", sa.Text, nullable=False),
        sa.Column("status", sa.String(40), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True)),
        sa.Column("total_pieces", sa.Integer, nullable=False),
        sa.Column("completed_pieces", sa.Integer, nullable=False),
        sa.Column("failed_pieces", sa.Integer, nullable=False),
        sa.Column("total_processed", sa.BigInteger, nullable=False),
        sa.Column("total_failures", sa.BigInteger, nullable=False),
        sa.Column("failures_json", sa.Text, nullable=False),
        sa.Column("pieces_json", sa.Text, nullable=False),
        sa.Column("report_address", sa.Text),
        sa.Column("owner", sa.String(128)),
        sa.Column("heartbeat_at", sa.DateTime(timezone=True)),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True)),
    )
