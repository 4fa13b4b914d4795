"""Users' jobs that wait, a fair line for each grid and model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from .queue import FairQueue
from .state import Job

Key = tuple[str, str]


class Lines:
    def __init__(self) -> None:
        self._queues: dict[Key, FairQueue] = {}
        #: By their ids, as long as they wait; a queue still holds those that were called off.
        self._jobs: dict[str, Job] = {}
        self._lengths: Counter[Key] = Counter()

    def __len__(self) -> int:
        return len(self._jobs)

    def length(self, key: Key) -> int:
        return self._lengths[key]

    def put(self, job: Job) -> None:
        self._begin(job).push(job.owner, job.id, job.units)

    def put_back(self, job: Job) -> None:
        """One that was served once: it goes first, and costs its user nothing more."""
        self._begin(job).push_front(job.owner, job.id)

    def remove(self, job: Job) -> None:
        job.waiting = False
        del self._jobs[job.id]
        self._lengths[_key(job)] -= 1

    def longest_first(self, keys: Iterable[Key]) -> Job | None:
        """Remove and return the next of the longest of these lines."""
        lengths = [(n, key) for key in keys if (n := self._lengths[key])]
        return self._pop(max(lengths)[1]) if lengths else None

    def validate_state(self, waiting: Iterable[Job]) -> None:
        """Raise AssertionError unless exactly these wait here."""
        expected = list(waiting)
        assert self._jobs == {job.id: job for job in expected}
        assert Counter(map(_key, expected)) == +self._lengths

    def _begin(self, job: Job) -> FairQueue:
        job.waiting = True
        self._jobs[job.id] = job
        self._lengths[_key(job)] += 1
        return self._queues.setdefault(_key(job), FairQueue())

    def _pop(self, key: Key) -> Job | None:
        queue = self._queues[key]
        while (job_id := queue.pop()) is not None:
            job = self._jobs.get(job_id)
            if job is not None:
                self.remove(job)
                return job
        return None


def _key(job: Job) -> Key:
    return (job.grid, job.digest)
