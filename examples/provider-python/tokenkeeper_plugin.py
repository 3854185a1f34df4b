"""What every Tokenkeeper plugin in Python needs: it makes a process a plugin.

A sink is built with tokenkeeper_sink, a provider with tokenkeeper_provider; both
use this file, which is the same in both examples. It is what the supervisor
expects of a plugin's process, in any language:

- It runs only when the supervisor starts it, and says in the first line of its
  standard output where it listens: go-plugin's handshake.
- It listens on a Unix socket in the directory that it is given, with TLS on both
  sides: each side trusts exactly the other's certificate.
- It answers gRPC's health service, which go-plugin may ask.
- It ends, after the calls in flight, when the lifeline does, because then the
  supervisor has let go of it or is dead, and on GRPCController.Shutdown. SIGTERM,
  SIGHUP, SIGABRT and SIGINT mean nothing: a service manager sends them to
  everybody, while there may be something left to do.
- Its log is JSON lines on standard error, in hclog's layout.

It needs python3-grpcio, python3-protobuf and python3-cryptography.
"""

import base64
import concurrent.futures
import datetime
import json
import logging
import os
import signal
import sys
import tempfile
import threading

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

COOKIE = ("TOKENKEEPER_PLUGIN", "f3e4ab4a-provider")
LIFELINE = "TOKENKEEPER_LIFELINE_FD"
GRACE_SECONDS = 30  # for the calls in flight at the end
# Threads are made when they are needed. Beside the calls in flight there must
# always be one to answer Ping, or the supervisor takes the process for hung.
MAX_THREADS = 128

log = logging.getLogger("plugin")


class Contract:
    """The messages of a wire contract, built from its descriptors.

    Code that protoc generates runs with some versions of the protobuf library
    and not with others; descriptors are data, and every version reads them.
    """

    def __init__(self, protoset, service):
        files = descriptor_pb2.FileDescriptorSet()
        here = os.path.dirname(os.path.realpath(__file__))
        with open(os.path.join(here, protoset), "rb") as f:
            files.ParseFromString(f.read())
        self._class_of = getattr(message_factory, "GetMessageClass", None)
        if self._class_of is None:  # before protobuf 4.22
            self._class_of = message_factory.MessageFactory().GetPrototype
        self._pool = descriptor_pool.DescriptorPool()
        for file in files.file:
            self._pool.AddSerializedFile(file.SerializeToString())
        self.service = service
        # call -> (class of the request, class of the response)
        self.calls = {
            m.name: (self._class_of(m.input_type), self._class_of(m.output_type))
            for m in self._pool.FindServiceByName(service).methods
        }

    def message(self, name):
        """The class of a message, by its full name."""
        return self._class_of(self._pool.FindMessageTypeByName(name))

    def handler(self, call, answer):
        """answer(request, response, context) fills the response of a call in."""
        request_class, response_class = self.calls[call]

        def handle(request, context):
            response = response_class()
            answer(request, response, context)
            return response

        return grpc.unary_unary_rpc_method_handler(
            handle,
            request_deserializer=request_class.FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )


def hosted(kind, use):
    """Ends a process that a person started by hand, and sends the log of any other
    to the supervisor."""
    if os.environ.get(COOKIE[0]) != COOKIE[1]:
        sys.exit("This is a Tokenkeeper %s: a plugin, not a program to run by hand.\n"
                 '%s in tokenkeeper.yaml, and start "tokenkeeper run".' % (kind, use))
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.raiseExceptions = False  # a supervisor that was killed reads no log


def serve(contract, answers, ending, version="1"):
    """Serves the calls of a contract until ending is set, which the supervisor
    does. What is in flight then is not waited for: server.stop(seconds) of the
    returned server does that."""
    held = _watch_lifeline(ending)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGABRT, signal.SIGINT,
                   signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, lambda *_: held or ending.set())

    server = grpc.server(concurrent.futures.ThreadPoolExecutor(max_workers=MAX_THREADS))
    calls = {call: contract.handler(call, answer) for call, answer in answers.items()}
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(contract.service, calls),
            # Both speak protobuf's encoding, but nothing has to be read:
            # HealthCheckResponse{status: SERVING}, and Empty{}.
            grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": _raw(lambda: b"\x08\x01")}),
            grpc.method_handlers_generic_handler("plugin.GRPCController", {"Shutdown": _raw(lambda: ending.set() or b"")}),
        )
    )
    # The supervisor gives a directory; other hosts of go-plugin may not.
    socket = os.path.join(os.environ.get("PLUGIN_UNIX_SOCKET_DIR") or tempfile.mkdtemp(), "plugin")
    credentials, certificate = _mutual_tls()
    if not server.add_secure_port("unix:" + socket, credentials):
        sys.exit("the plugin can't listen on " + socket)
    server.start()
    print("1|" + version + "|unix|" + socket + "|grpc|" + certificate, flush=True)
    ending.wait()
    return server


def tell_fault(kind, fault):
    """Logs an exception that nobody expected, and returns what may be told of it:
    its type and the place. Its text may hold a token."""
    place = fault.__traceback__
    while place.tb_next is not None:
        place = place.tb_next
    file = os.path.basename(place.tb_frame.f_code.co_filename)
    text = "a fault in the %s: %s at %s:%d" % (kind, type(fault).__name__, file, place.tb_lineno)
    log.error(text)
    return text


def _raw(answer):
    return grpc.unary_unary_rpc_method_handler(lambda _request, _context: answer())


def _mutual_tls():
    """Makes this process's certificate, and trusts the supervisor's alone."""
    peer = os.environ.get("PLUGIN_CLIENT_CERT", "")
    if not peer:
        sys.exit("the plugin got no certificate of its supervisor (PLUGIN_CLIENT_CERT)")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # A process may run for years, and a clock that is put right must not
        # make its certificate one of the future.
        .not_valid_before(now - datetime.timedelta(days=365))
        .not_valid_after(now + datetime.timedelta(days=365 * 30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    credentials = grpc.ssl_server_credentials(
        [(
            key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
            certificate.public_bytes(pem),
        )],
        root_certificates=peer.encode(),
        require_client_auth=True,
    )
    der = certificate.public_bytes(serialization.Encoding.DER)
    return credentials, base64.b64encode(der).decode().rstrip("=")


def _watch_lifeline(ending):
    """Ends the process when nobody holds the other end of the lifeline, and says
    whether there is one: other hosts of go-plugin have none."""
    fd = int(os.environ.get(LIFELINE, "-1"))
    if fd < 0:
        return False
    os.set_inheritable(fd, False)

    def watch():
        while os.read(fd, 1):
            pass
        ending.set()

    threading.Thread(target=watch, daemon=True).start()
    return True


class _Lines(logging.Formatter):
    def format(self, record):
        return json.dumps({
            "@level": record.levelname.lower().replace("warning", "warn"),
            "@message": record.getMessage(),
            "@timestamp": datetime.datetime.now(datetime.timezone.utc).isoformat(),
        })
