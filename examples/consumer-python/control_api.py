#!/usr/bin/env python3
"""Follows an account's token over the control API: HTTP on a Unix socket.

    control_api.py CONTROL_SOCKET ACCOUNT URL

It must run as the supervisor's user, as root, or as a reader (control.readers).
"""

import http.client
import json
import socket
import sys
import time
import urllib.parse

import broker


class Connection(http.client.HTTPConnection):
    """HTTP on a Unix socket."""

    def __init__(self, path: str, timeout: float | None):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Refused(Exception):
    """The supervisor answered, and said no."""


def get(connection: Connection, path: str) -> http.client.HTTPResponse:
    connection.request("GET", path)
    answer = connection.getresponse()
    if answer.status != 200:
        raise Refused(json.load(answer).get("error", answer.reason))
    return answer


def token(path: str, account: str) -> dict:
    """The newest token: access_token, token_type, expires_at, version."""
    connection = Connection(path, timeout=10)
    try:
        return json.load(get(connection, f"/v1/accounts/{urllib.parse.quote(account, safe='')}/token"))
    finally:
        connection.close()


def follow(path: str, account: str, use) -> None:
    """Calls use with the newest token, and with each later one, until the supervisor ends."""
    connection = Connection(path, timeout=None)
    try:
        # In this order: what is refreshed from now on comes as an event.
        events = get(connection, "/v1/events")
        version = None
        about = [account]
        while True:
            if account in about:
                try:
                    newest = token(path, account)
                    if newest["version"] != version:
                        version = newest["version"]
                        use(newest)
                except Refused as no:  # no token yet: the login is an event too
                    print(f"{account}: {no}", file=sys.stderr, flush=True)
            line = events.readline()
            if not line:
                return
            about = [json.loads(line).get("account")]
    finally:
        connection.close()


def main() -> None:
    path, account, url = sys.argv[1:]

    def use(newest: dict) -> None:
        status = broker.call(url, newest["access_token"])
        print(f"version {newest['version']} until {newest['expires_at']}: the API answers {status}", flush=True)

    while True:  # through restarts of the supervisor
        try:
            follow(path, account, use)
        except (OSError, http.client.HTTPException, Refused) as error:
            print(f"{path}: {error}", file=sys.stderr, flush=True)
        time.sleep(1)


if __name__ == "__main__":
    main()
