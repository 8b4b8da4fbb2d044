"""Run as `python -m madang.cli`."""

from madang.cli.app import main

main()
