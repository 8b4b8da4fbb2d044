"""The command line: one thin verb for each job, each a call of the Python API."""

from madang.cli.app import main

__all__ = ["main"]
