#!/usr/bin/env python3
"""Reads the token in a shared file, under the lock of all who use that file.

    read_shared_file.py FILE URL

FILE is an account's shared_file of format saxo-cache, and FILE.lock its lock.
A file that a sink of type file writes needs no lock: it is replaced whole.
"""

import contextlib
import fcntl
import json
import sys

import broker


@contextlib.contextmanager
def locked(path: str, exclusive: bool):
    """Holds the lock of the file at path.

    Whoever refreshes the token takes it exclusively, reads the file, refreshes,
    writes the file, and only then lets go. Whoever only reads shares it with
    other readers. The lock file is never removed: two programs would then hold
    locks on two files.
    """
    with open(path + ".lock", "rb") as lock:  # Tokenkeeper creates it
        fcntl.flock(lock, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
        yield  # closing the file unlocks it


def read(path: str) -> dict:
    """The file's fields: access_token, token_expiry and more."""
    with locked(path, exclusive=False):
        with open(path, encoding="utf-8") as file:
            return json.load(file)


def main() -> None:
    path, url = sys.argv[1:]
    token = read(path)
    # The lock is free again: others need not wait for the broker.
    status = broker.call(url, token["access_token"])
    print(f"a token until {token['token_expiry']}: the API answers {status}", flush=True)


if __name__ == "__main__":
    main()
