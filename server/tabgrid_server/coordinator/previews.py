"""Pictures of how far a job is: which of those that a node sends are passed on. Pure."""

from __future__ import annotations

from tabgrid_models import png
from tabgrid_models.connectors.base import HasMedia

from .live import LiveJob

#: Changes that wait for one follower: it sees the newest, and holds 1 MiB of pictures at most.
QUEUE_LENGTH = 16
#: Twice as fast as a tab sends them; more often nobody can tell them apart.
EVERY_S = 0.1
#: Pixels. Previews are as large as latents: an eighth of the picture's side, 256 at most.
MAX_PIXELS = 256 * 256


def topic(job_id: str) -> str:
    return f"{job_id}/previews"


def take(job: LiveJob, data: bytes, now: float) -> bool:
    """Whether to pass ``data`` on: it is a small PNG of a job that shows itself, in time.

    What is not is dropped without a word: a preview is nothing that anybody paid for.
    """
    if not job.show_preview or not isinstance(job.offer.connector, HasMedia):
        return False
    if now - job.previewed_at < EVERY_S:
        return False
    job.previewed_at = now
    try:
        png.decode(data, MAX_PIXELS)
    except png.BadPng:
        return False
    return True
