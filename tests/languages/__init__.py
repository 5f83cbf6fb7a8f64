"""The parts of tests/languages.py: one module for each language, and what they share in `common`."""
