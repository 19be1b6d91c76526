"""``python -m headrace.app.cli`` is ``headrace``."""

from headrace.app.cli.main import run

run()
