"""The demo: the flights pipeline on the embedded stack, live, with a summary at the end."""
