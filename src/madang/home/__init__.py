"""One folder on disk: the public Python API."""

from madang.home.answering import Steps
from madang.home.brake import Brake, StoppedError
from madang.home.folder import Folder, locate
from madang.home.home import Home
from madang.home.learning import (
    Learning,
    NothingToLearnError,
    TrainingReport,
    TrainingUnavailableError,
    TrainOptions,
    Watcher,
)
from madang.home.results import Overview, SearchResult
from madang.home.sample import ingest_sample, remove_sample, sample_folder
from madang.posts.ingest import IngestReport

__all__ = [
    "Brake",
    "Folder",
    "Home",
    "IngestReport",
    "Learning",
    "NothingToLearnError",
    "Overview",
    "SearchResult",
    "Steps",
    "StoppedError",
    "TrainOptions",
    "TrainingReport",
    "TrainingUnavailableError",
    "Watcher",
    "ingest_sample",
    "locate",
    "remove_sample",
    "sample_folder",
]
