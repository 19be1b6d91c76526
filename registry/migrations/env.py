"""How alembic runs our migrations: on the connection, and in the transaction, that it is handed.

``SqlRegistry.migrate()`` holds a lock in that transaction, so that processes that start together
take turns, and one that dies half-way leaves nothing behind.
"""

from alembic import context

from headrace.registry.tables import metadata


def run() -> None:
    """Run the migrations that alembic was asked for."""
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=metadata,
        transactional_ddl=True,  # SQLite's is, once BEGIN is ours; alembic doubts it
        render_as_batch=True,  # SQLite alters a table by copying it
    )
    with context.begin_transaction():
        context.run_migrations()


if not __name__.startswith("headrace."):  # imported by its path: by alembic, not by a doctest
    run()
