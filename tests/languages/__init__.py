"""The parts of tests/languages.py: one module for each language, and their shared functions in `common`."""
