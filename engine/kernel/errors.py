"""Every error that Holdfast raises, in one tree.

    HoldfastError
    ├── SettingsError          a setting is wrong; the launcher exits 2 with this one line
    ├── DeclarationError       a task or queue is declared in a way that cannot work
    ├── ValidationError        arguments or options of a job are wrong; names the field
    │   └── BundleRefused      a bundle was changed, cut, not meant for this home, or signed by a stranger
    ├── UnknownTask            no task of that name is registered here
    ├── NotFound               no such job, queue, …
    ├── Conflict               the thing is in a state that does not allow the move
    ├── StoreFull              the quota or the disk is full; carries ``retry_after``
    ├── StoreOwned             another process owns this home
    ├── StoreDamaged           a sealed entry cannot be opened (wrong key, flipped bit, unknown version)
    ├── PayloadUnreadable      a job's payload is garbage or of another version; the job is set aside, not lost
    ├── Unreachable            Redis did not answer; a call may have been carried out or not
    ├── Stopped                the engine is stopping and takes no more work
    └── ResultError            what ``job.result()`` raises
        ├── JobFailed  ├── JobCancelled  └── ResultTimeout

Two signals are raised *by tasks* and are no failures: ``Snooze`` and ``Cancel``.  ``Retryable`` failures may carry
``retry_after``.  A message says what, where, the value's shape and the mend, and never holds a secret.
"""

from __future__ import annotations


class HoldfastError(Exception):
    """Root of all errors of Holdfast."""


class SettingsError(HoldfastError):
    """A setting is wrong; the message is one line: what, where it was set, the mend."""


class DeclarationError(HoldfastError):
    """A task or queue is declared in a way that cannot work; raised while the program is loaded, not while it runs."""


class ValidationError(HoldfastError):
    """Arguments or options of a job do not fit; ``field`` names the place, as in ``args.to`` or ``priority``."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class BundleRefused(ValidationError):
    """A file is no bundle that this home may apply: changed, cut, of a newer version, sealed to others, or signed by a
    stranger; nothing of it was applied."""

    def __init__(self, message: str) -> None:
        super().__init__(f"bundle: {message}", "bundle")


class UnknownTask(HoldfastError):
    """No task of that name is registered in this process."""


class NotFound(HoldfastError):
    """There is no such job, queue, schedule or agent."""


class Conflict(HoldfastError):
    """The job's state does not allow this move."""


class StoreFull(HoldfastError):
    """The store's quota or its disk is full; nothing was written.  Try again after ``retry_after`` seconds."""

    def __init__(self, message: str, retry_after: float = 5.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class StoreOwned(HoldfastError):
    """Another process owns this home; the message names it."""


class StoreDamaged(HoldfastError):
    """A sealed entry of the store cannot be opened: wrong key, flipped bit or unknown version."""


class PayloadUnreadable(HoldfastError):
    """A job's payload is no envelope that this version can read; the job is set aside and reported, not lost."""


class Unreachable(HoldfastError):
    """Redis did not answer, or refused the connection; a call that was under way may have been carried out or not."""


class Stopped(HoldfastError):
    """The engine is stopping and takes no more work."""


class ResultError(HoldfastError):
    """Why ``job.result()`` has no value to give; ``job_id`` says which job."""

    def __init__(self, message: str, job_id: str = "") -> None:
        super().__init__(message)
        self.job_id = job_id


class JobFailed(ResultError):
    """The job is dead: its attempts are exhausted or it failed for good."""


class JobCancelled(ResultError):
    """The job was cancelled."""


class ResultTimeout(ResultError):
    """The job had not ended in the time given; it goes on."""


class AttemptTimeout(HoldfastError):
    """An attempt ran longer than the job's ``timeout``."""


class Snooze(HoldfastError):
    """Raised by a task: run me again in ``seconds``; uses up no attempt."""

    def __init__(self, seconds: float, reason: str = "") -> None:
        super().__init__(reason or f"snoozed for {seconds:g} s")
        self.seconds = seconds
        self.reason = reason


class Cancel(HoldfastError):
    """Raised by a task: stop here, do not retry; the job ends as cancelled."""


class Discard(HoldfastError):
    """Raised by a task: this can never work; the job is dead at once, whatever attempts are left."""


class RetryAfter(HoldfastError):
    """Raised by a task: failed, and the other side says when to try again (HTTP ``Retry-After``); counts as an attempt."""

    def __init__(self, seconds: float, reason: str = "") -> None:
        super().__init__(reason or f"asked to wait {seconds:g} s")
        self.seconds = seconds
