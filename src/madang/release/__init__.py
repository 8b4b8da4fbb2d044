"""From a run to a model that runs everywhere: exports that prove themselves."""

from madang.release.checks import Check
from madang.release.export import FORMATS, Format
from madang.release.publishing import Progress, ReleaseRefusedError, publish
from madang.release.release import FileRecord, Release, list_releases

__all__ = [
    "FORMATS",
    "Check",
    "FileRecord",
    "Format",
    "Progress",
    "Release",
    "ReleaseRefusedError",
    "list_releases",
    "publish",
]
