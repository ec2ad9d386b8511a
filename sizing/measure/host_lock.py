"""One measurement at a time on a host, also where several server processes share it: a lock the kernel drops with its owner."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


class HostLock:
    """A lock on a file in the temporary directory, for processes of one user; not for threads of one process."""

    def __init__(self, path: Path | None = None) -> None:
        user = os.getuid() if hasattr(os, "getuid") else 0
        self.path = path or Path(tempfile.gettempdir()) / f"inference-sizing-measure-{user}.lock"
        self._descriptor: int | None = None

    def take(self) -> bool:
        """Take the lock if nobody has it; whether it is held now. Where no lock can be made there is nobody to wait for."""
        import fcntl

        if self._descriptor is not None:
            return True
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError:
            return True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except OSError:
            os.close(descriptor)
            return True
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Let the next one go."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
