"""The locks of token files that other programs refresh too, see sdk/README.md.

The supervisor lends the lock's descriptor for an attempt, so that the lock lives as
long as the request, also if the supervisor dies; and what was answered is kept for
the next supervisor, which takes the lock over before any bot can have it. All of
this is optional: a provider that says no hello is lent nothing.
"""

import array
import contextlib
import fcntl
import os
import socket
import struct
import threading
import time

LONGEST_ID = 256
UNCLAIMED_SECONDS = 60  # a lock is kept whose call does not come
ANSWERS_WITHIN_SECONDS = 5
LENDER_DIES_SECONDS = 1  # more than the time between the ends of a dead supervisor's descriptors
LONGEST_WAIT_SECONDS = 600


class Locks:
    """The descriptors that were lent, by attempt."""

    def __init__(self):
        self.lock = threading.Lock()
        self.held = {}  # attempt -> [descriptor, when it came, whether its call has come]
        self.orphaned = False
        self.socket = None
        fd = int(os.environ.get("TOKENKEEPER_LOCKS_FD", "-1"))
        if fd < 0:
            return
        os.set_inheritable(fd, False)  # whoever else had it would keep what is on its way
        self.socket = socket.socket(fileno=fd)
        self.socket.setblocking(False)
        try:
            self.socket.send(b"hello")
        except OSError:
            self.socket = None

    def claim(self, attempt):
        """Is for the beginning of a call: what was lent for it is kept until
        give_back."""
        with self.lock:
            self._receive()
            for name, loan in list(self.held.items()):
                if name == attempt:
                    loan[2] = True
                elif not loan[2] and time.monotonic() - loan[1] > UNCLAIMED_SECONDS:
                    self._drop(name)

    def give_back(self, attempt):
        with self.lock:
            self._drop(attempt)

    def _drop(self, attempt):
        loan = self.held.pop(attempt, None)
        if loan is not None:
            os.close(loan[0])  # and never unlocked: the lender holds it, too

    def _receive(self):
        """Takes in what has come. Of two for one attempt the later one counts."""
        rights = array.array("i")
        while self.socket is not None:
            try:
                content, ancillary, _, _ = self.socket.recvmsg(
                    LONGEST_ID, socket.CMSG_SPACE(4 * rights.itemsize), socket.MSG_CMSG_CLOEXEC)
            except BlockingIOError:
                return
            except OSError:
                self.orphaned = True
                return
            if not content and not ancillary:
                self.orphaned = True
                return
            attempt = content.decode()
            for level, kind, data in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    fds = array.array("i")
                    fds.frombytes(data[:len(data) - len(data) % fds.itemsize])
                    for fd in fds:
                        claimed = attempt in self.held and self.held[attempt][2]
                        self._drop(attempt)
                        self.held[attempt] = [fd, time.monotonic(), claimed]

    @contextlib.contextmanager
    def offered(self, directory):
        """Offers what is lent to the next supervisor, while the attempts in flight
        end, and then waits for it, if the lender is dead and anything is held."""
        wait = os.environ.get("TOKENKEEPER_HAND_OVER", "")
        wait = min(int(wait), LONGEST_WAIT_SECONDS) if wait.isdigit() else 0
        with self.lock:
            self._receive()
            for name in [name for name, loan in self.held.items() if not loan[2]]:
                self._drop(name)
            some = bool(self.held)
        if not wait or not directory or not some:
            yield
            return
        heir = threading.Event()
        folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # Through the folder's descriptor: a path may be too long for a socket.
        path = "/proc/self/fd/%d/locks.sock" % folder
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)  # of a process that was killed: the folder is ours alone
        listener.bind(path)
        listener.listen()
        threading.Thread(target=self._serve, args=(listener, heir), daemon=True).start()
        try:
            yield
            if self._is_orphan() and self._still_locks():
                heir.wait(wait)
        finally:
            with contextlib.suppress(OSError):
                os.unlink(path)

    def _is_orphan(self):
        late = time.monotonic() + LENDER_DIES_SECONDS
        while True:
            with self.lock:
                self._receive()
                if self.orphaned or not self.held or time.monotonic() >= late:
                    return self.orphaned and bool(self.held)
            time.sleep(0.02)

    def _still_locks(self):
        """Closes what carries no lock any more, because its dead lender gave it back
        and somebody else has it now."""
        with self.lock:
            for name, loan in list(self.held.items()):
                try:
                    fcntl.flock(loan[0], fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    self._drop(name)
            return bool(self.held)

    def _serve(self, listener, heir):
        while True:
            peer, _ = listener.accept()
            threading.Thread(target=self._hand_over, args=(peer, heir), daemon=True).start()

    def _hand_over(self, peer, heir):
        """Gives a peer copies of all locks."""
        with peer, contextlib.suppress(OSError):
            peer.settimeout(ANSWERS_WITHIN_SECONDS)
            credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
            _, user, _ = struct.unpack("3i", credentials)
            if user not in (0, os.geteuid()):
                return
            with self.lock:
                for attempt, loan in self.held.items():
                    fds = array.array("i", [loan[0]])
                    peer.sendmsg([attempt.encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
                peer.send(b"that is all")
            if peer.recv(16) != b"taken":
                return
            heir.set()
            peer.settimeout(None)
            peer.recv(16)  # the copies are the peer's for as long as it keeps the connection
            heir.clear()
