"""Tests run as training does: what bits depend on is set before anything imports torch."""

from madang.training.pinning import prepare_process

prepare_process()
