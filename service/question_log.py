"""The question log: what was asked and how it was answered, for the operator. No request ever waits for it.

What is recorded goes into a queue in memory, and one thread writes it, many at a time, so that a full disk or another
process that holds the file costs entries and no answer. A process that is killed loses what it has in the queue, which
is what came in during the last tenth of a second.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from service.question_file import (
    DamagedError,
    Entry,
    Logged,
    QuestionFile,
    QuestionLogError,
    Verdict,
    Vote,
    digest,
    known,
    read,
    remove,
    stamp,
)
from service.redact import redact

__all__ = ["FILE", "Entry", "Logged", "QuestionLog", "QuestionLogError", "Verdict", "Vote", "digest", "read", "stamp"]

FILE = "questions.sqlite"
# Entries that wait in memory at most, and that are written in one transaction: at 1 KB each, 10 MB and 0.5 MB.
QUEUED, BATCH = 10_000, 500
# Seconds in which entries gather for a transaction, and between two deletions of what is too old.
GATHER, PURGED = 0.1, 3600.0
LONGEST_REASON = 2000

_LOGGER = logging.getLogger(__name__)


class QuestionLog:
    """Records questions and votes in a file that several processes share; any thread may call it.

    :ivar dropped: Entries and votes that could not be kept since the process began: the queue was full, or the file
        could not be written.
    """

    def __init__(self, path: Path, *, days: int) -> None:
        """Begin to write; the file is opened by the thread that writes it, so that this never fails for its sake.

        :param days: For how long a question is kept. With 0 nothing is kept, and what an earlier log holds is deleted.
        :raises ValueError: ``days`` is below 0.
        """
        if days < 0:
            raise ValueError(f"questions cannot be kept for {days} days; give a number of days, or 0 to keep none")
        self.path = path
        self.dropped = 0
        self._days = days
        self._file = QuestionFile(path)
        self._writing = threading.Lock()  # who has it uses the file; taken before _changed, never while that is held
        self._changed = threading.Condition()  # guards what follows
        self._queue: deque[Entry | Vote] = deque()
        self._unwritten: set[str] = set()
        self._closing = False
        self._warned = False
        self._writer = threading.Thread(target=self._run, name="question log", daemon=True)
        if days:
            self._writer.start()
        elif remove(path):
            _LOGGER.warning("%s: deleted, since questions are kept for 0 days", path)

    def record(self, entry: Entry) -> None:
        """Keep an answered question. This takes microseconds and never fails; what cannot be kept is counted."""
        if self._days:
            self._put(entry)

    def feedback(self, answer_id: str, verdict: Verdict, reason: str = "") -> bool:
        """Keep what an asker says of an answer; of several votes on one answer the last counts.

        :param reason: Redacted here; only its first 2,000 characters are kept.
        :return: False where there is no such answer: it is too old, was deleted, or another process got it this moment.
        :raises QuestionLogError: The file cannot be read.
        """
        if not self._days:
            return False
        with self._changed:
            there = answer_id in self._unwritten
        if not there and not self._known(answer_id):
            return False
        self._put(Vote(answer_id, stamp(datetime.now(UTC)), verdict, redact(reason[:LONGEST_REASON]).text))
        return True

    def forget(self, conversation: str) -> int:
        """Delete a conversation for good: its questions and the votes on them; give how many questions.

        No byte of their texts is left in any file, and what other processes still have of it in their queues is not
        written; nor is what is recorded of it within a day.

        :raises QuestionLogError: The file could not be written, or not cleaned of every trace; to be called again.
        """
        if not self._days:
            return 0
        with self._writing:
            with self._changed:
                waiting = {e.answer_id for e in self._queue if isinstance(e, Entry) and e.conversation == conversation}
                self._queue = deque(item for item in self._queue if item.answer_id not in waiting)
                self._unwritten -= waiting
            return len(waiting) + self._file.forget(conversation)

    def purge(self) -> int:
        """Delete what is older than it may be kept, as `forget` does, and give how many questions that were.

        The writer does it hourly.

        :raises QuestionLogError: The file could not be written.
        """
        if not self._days:
            return 0
        with self._writing:
            return self._file.purge(datetime.now(UTC) - timedelta(days=self._days))

    def rows(self, since: datetime, until: datetime) -> Iterator[Logged]:
        """Give what was asked from a moment up to another, oldest first, as `service.question_file.read` does."""
        try:
            yield from read(self.path, since, until)
        except DamagedError:
            self._reopen()
            raise

    def flush(self) -> None:
        """Write what is in the queue now."""
        while self._write():
            pass

    def close(self) -> None:
        """Write what is in the queue, end the thread and close the file; what is recorded after this is dropped."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._writer.is_alive():
            self._writer.join()
        self.flush()
        with self._writing:
            self._file.close()

    def _known(self, answer_id: str) -> bool:
        try:
            return known(self.path, answer_id)
        except DamagedError:
            self._reopen()
            raise

    def _reopen(self) -> None:
        """Have the file opened and looked at again: who writes may not see the damage, having read its pages before."""
        with self._writing:
            self._file.close()

    def _put(self, item: Entry | Vote) -> None:
        with self._changed:
            there_is_room = len(self._queue) < QUEUED and not self._closing
            if there_is_room:
                self._queue.append(item)
                if isinstance(item, Entry):
                    self._unwritten.add(item.answer_id)
                if len(self._queue) == 1:
                    self._changed.notify()
        if not there_is_room:
            self._lose(1, "more questions come in than can be written, or the log is closed")

    def _run(self) -> None:
        due = 0.0
        while not self._closing:
            if time.monotonic() >= due:
                self._reopen()
                self._purge_if_possible()
                due = time.monotonic() + PURGED
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._closing, timeout=max(due - time.monotonic(), 0))
                if self._queue and not self._closing:
                    self._changed.wait_for(lambda: self._closing, timeout=GATHER)
            self.flush()

    def _write(self) -> bool:
        """Write a batch; tell whether there was one."""
        with self._writing:
            with self._changed:
                batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
            if not batch:
                return False
            try:
                self._file.append(batch)
                self._warned = False
            except Exception as error:  # an answer is worth more than its record, whatever is wrong
                self._lose(len(batch), str(error))
            with self._changed:
                self._unwritten.difference_update(item.answer_id for item in batch if isinstance(item, Entry))
        return True

    def _purge_if_possible(self) -> None:
        try:
            self.purge()
        except Exception as error:
            self._lose(0, f"what is too old could not be deleted: {error}")

    def _lose(self, count: int, why: str) -> None:
        """Count what is lost, and say it once until something can be written again."""
        with self._changed:
            self.dropped += count
            warn, self._warned = not self._warned, True
        if warn:
            _LOGGER.warning("question log: %s; questions are answered, but not recorded meanwhile", why)
