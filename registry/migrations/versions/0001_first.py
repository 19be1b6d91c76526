"""Models, versions, checkpoints, serving history and witnesses."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_MOMENT = sa.DateTime(timezone=True)
_OF_VERSION = (
    ["model_id", "version"],
    ["model_version.model_id", "model_version.version"],
)


def upgrade() -> None:
    _models()
    _checkpoints()
    _serving()
    _tasks()


def _models() -> None:
    op.create_table(
        "model",
        sa.Column("id", _ID, nullable=False),
        sa.Column("model_name", sa.String(255), nullable=False),
        sa.Column("serving_version", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_model"),
        sa.UniqueConstraint("model_name", name="uq_model_model_name"),
    )
    op.create_table(
        "model_version",
        sa.Column("id", _ID, nullable=False),
        sa.Column("model_id", _ID, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("image", sa.String(1_024), nullable=False),
        sa.Column("metrics", sa.JSON(), nullable=False),
        sa.Column("digest", sa.String(128), nullable=False),
        sa.Column("declaration", sa.Text(), nullable=False),
        sa.Column("lineage", sa.JSON(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_model_version"),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"], name="fk_model_version_model"),
        sa.UniqueConstraint("model_id", "version", name="uq_model_version_model_id_version"),
        sa.UniqueConstraint("model_id", "digest", name="uq_model_version_model_id_digest"),
        sa.CheckConstraint("version > 0", name=op.f("ck_model_version_version")),
    )


def _checkpoints() -> None:
    op.create_table(
        "checkpoint",
        sa.Column("id", _ID, nullable=False),
        sa.Column("model_id", _ID, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("previous_offset", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(128), nullable=False),
        sa.Column("signature", sa.String(128), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_checkpoint"),
        sa.ForeignKeyConstraint(*_OF_VERSION, name="fk_checkpoint_model_version"),
        sa.UniqueConstraint(
            "model_id",
            "version",
            "previous_offset",
            name="uq_checkpoint_model_id_version_previous_offset",
        ),
        sa.UniqueConstraint(
            "model_id", "version", "offset", name="uq_checkpoint_model_id_version_offset"
        ),
        sa.CheckConstraint(
            'previous_offset >= 0 AND "offset" > previous_offset',
            name=op.f("ck_checkpoint_forward"),
        ),
    )


def _serving() -> None:
    op.create_table(
        "serving",
        sa.Column("id", _ID, nullable=False),
        sa.Column("model_id", _ID, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("since", _MOMENT, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_serving"),
        sa.ForeignKeyConstraint(*_OF_VERSION, name="fk_serving_model_version"),
    )


def _tasks() -> None:
    op.create_table(
        "task",
        sa.Column("pipeline", sa.String(255), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("stage", sa.String(64), nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("topic_ids", sa.Text(), nullable=False),
        sa.Column("partition_counts", sa.Text(), nullable=False),
        sa.Column("starts", sa.Text(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("updated_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("pipeline", "version", "stage", "partition", name="pk_task"),
    )


def downgrade() -> None:
    for table in ("task", "serving", "checkpoint", "model_version", "model"):
        op.drop_table(table)
