"""Checkpoints whose state was dropped: the link stays, the state is null."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("checkpoint") as table:
        table.alter_column("state", existing_type=sa.LargeBinary(), nullable=True)


def downgrade() -> None:
    # A link without its state has no place in the tables of before: the chain begins behind it.
    op.execute("DELETE FROM checkpoint WHERE state IS NULL")
    with op.batch_alter_table("checkpoint") as table:
        table.alter_column("state", existing_type=sa.LargeBinary(), nullable=False)
