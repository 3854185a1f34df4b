#!/usr/bin/env python3
"""Receives each new token on a Unix socket and answers OK.

    receive_socket.py SOCKET URL

A sink of type unixsocket connects to SOCKET, sends one JSON object in one
write and waits for the answer. Without an OK it tries again.
"""

import json
import os
import socket
import sys

import broker

LIMIT = 4096  # a message is always shorter


def listen(path: str) -> socket.socket:
    if os.path.exists(path):
        os.unlink(path)  # an earlier run's
    before = os.umask(0o177)  # for our own user only, from the first moment on
    try:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
    finally:
        os.umask(before)
    listener.listen()
    return listener


def receive(connection: socket.socket) -> dict:
    """Takes one message, and answers OK only if it is whole."""
    connection.settimeout(5)
    message = json.loads(connection.recv(LIMIT))
    if not message["access_token"] or message["expires_at"] < 0:
        raise ValueError("no token")
    connection.sendall(b"OK")
    return message


def main() -> None:
    path, url = sys.argv[1:]
    listener = listen(path)
    while True:
        connection, _ = listener.accept()
        try:
            with connection:
                message = receive(connection)
        except (OSError, ValueError, KeyError, TypeError) as error:
            # Only its kind: its text may repeat what came.
            print(f"{path}: no token came: {type(error).__name__}", file=sys.stderr, flush=True)
            continue
        status = broker.call(url, message["access_token"])
        print(f"a token until {message['expires_at']}: the API answers {status}", flush=True)


if __name__ == "__main__":
    main()
