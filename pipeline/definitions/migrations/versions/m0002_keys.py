"""Keys: access keys with an encrypted secret, write keys with the hash of their text."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "keys",
        sa.Column("key_id", sa.String(128), primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("scopes", sa.String(128), nullable=False),
        sa.Column(
            "app_id",
            sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql"),
            sa.ForeignKey("apps.app_id", ondelete="CASCADE"),
            index=True,
        ),
        sa.Column("events_per_sec", sa.Float),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("secret_encrypted", sa.Text),
        sa.Column("text_sha256", sa.String(64), unique=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint(
            "(kind = 'access' and secret_encrypted is not null and text_sha256 is null)"
            " or (kind = 'write' and text_sha256 is not null and secret_encrypted is null)",
            name="kind",
        ),
    )
