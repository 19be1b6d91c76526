"""The command line. Each command's module loads what it needs when it is called: help is quick."""
