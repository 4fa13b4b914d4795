"""All that one grid process has in memory and in hand, for the rooms around it."""

from __future__ import annotations

from collections import Counter

from ..api.schemas.jobs import JobRow, Preview
from ..blobs import Uploads
from ..settings import Settings
from ..store import Store
from .background import Background
from .bus import Bus
from .figures import Figures, Sums
from .live import LiveJob, LiveNode
from .offers import Offers
from .unsupported import Unsupported


class State:
    def __init__(self, settings: Settings, offers: Offers, store: Store, uploads: Uploads) -> None:
        self.settings = settings
        self.offers = offers
        self.store = store
        self.uploads = uploads
        self.background = Background()
        self.nodes: dict[str, LiveNode] = {}
        self.jobs: dict[str, LiveJob] = {}
        #: Unfinished jobs, by owner.
        self.jobs_of: Counter[str] = Counter()
        self.bus: Bus[JobRow] = Bus()
        #: By job's id its changes; by ``previews.topic`` what only some may see. Kept nowhere.
        self.followers: Bus[JobRow | Preview] = Bus()
        self.figures = Figures(Sums(), ())
        self.unsupported = Unsupported()

    def publish_row(self, row: JobRow) -> None:
        """The same of a job that is in memory no more."""
        self.bus.publish("jobs", lambda: row)
        self.followers.publish(row.id, lambda: row)

    def publish(self, job: LiveJob) -> None:
        """Tell whoever watches that the job has changed."""
        self.bus.publish("jobs", job.row)
        self.followers.publish(job.id, job.row)
