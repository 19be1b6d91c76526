"""How Headrace is run: settings, wiring, command line, embedded stack."""
