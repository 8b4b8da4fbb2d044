"""One folder on disk: the public Python API."""

from madang.home.answering import Steps
from madang.home.brake import Brake, StoppedError
from madang.home.folder import Folder, locate
from madang.home.home import Home, Overview, SearchResult
from madang.home.sample import ingest_sample, remove_sample, sample_folder
from madang.posts.ingest import IngestReport

__all__ = [
    "Brake",
    "Folder",
    "Home",
    "IngestReport",
    "Overview",
    "SearchResult",
    "Steps",
    "StoppedError",
    "ingest_sample",
    "locate",
    "remove_sample",
    "sample_folder",
]
