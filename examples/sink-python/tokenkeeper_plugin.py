"""What every Tokenkeeper sink in Python needs: it makes a process a plugin.

A sink is a subclass of Sink; serve() runs it. The rest is what the supervisor
expects of a plugin's process, in any language:

- It runs only when the supervisor starts it, and says in the first line of its
  standard output where it listens: go-plugin's handshake.
- It listens on a Unix socket in the directory that it is given, with TLS on both
  sides: each side trusts exactly the other's certificate.
- It answers gRPC's health service, which go-plugin may ask.
- It ends, after the calls in flight, when the lifeline does, because then the
  supervisor has let go of it or is dead, and on GRPCController.Shutdown. SIGTERM,
  SIGHUP, SIGABRT and SIGINT mean nothing: a service manager sends them to
  everybody, while there may be something left to deliver.
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
PROTOCOL_VERSION = "1"
LIFELINE = "TOKENKEEPER_LIFELINE_FD"
SERVICE = "tokenkeeper.sink.v1.Sink"
GRACE_SECONDS = 30  # for the calls in flight at the end
# Threads are made when they are needed. Beside the deliveries in flight (at most
# max_concurrent of the configuration, 4 by default) there must always be one to
# answer Ping, or the supervisor takes the process for hung.
MAX_THREADS = 128

log = logging.getLogger("sink")


def _load_messages():
    """Builds the message classes from the descriptors of the wire contract.

    Code that protoc generates runs with some versions of the protobuf library
    and not with others; descriptors are data, and every version reads them.
    """
    factory = getattr(message_factory, "GetMessageClass", None)
    if factory is None:  # before protobuf 4.22
        factory = message_factory.MessageFactory().GetPrototype
    files = descriptor_pb2.FileDescriptorSet()
    here = os.path.dirname(os.path.realpath(__file__))
    with open(os.path.join(here, "sink_v1.protoset"), "rb") as f:
        files.ParseFromString(f.read())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.AddSerializedFile(file.SerializeToString())
    service = pool.FindServiceByName(SERVICE)
    return {m.name: (factory(m.input_type), factory(m.output_type)) for m in service.methods}


MESSAGES = _load_messages()  # call -> (class of the request, class of the response)


class Failure(Exception):
    """A call failed, and trying again may help. The text is for people and logs
    and must hold no secret."""

    code = grpc.StatusCode.INTERNAL


class Absent(Failure):
    """The consumer is not running, which is no failure."""

    code = grpc.StatusCode.FAILED_PRECONDITION


class Refused(Failure):
    """This version can't be delivered, and trying again would not help."""

    code = grpc.StatusCode.INVALID_ARGUMENT


class NothingStored(Failure):
    """Of restore: the destination holds nothing of the account."""

    code = grpc.StatusCode.NOT_FOUND


class Sink:
    """One kind of destination. Each method gets a message of sink.proto, where
    the rules stand, and fills the response in. Calls for different accounts come
    at the same time, in threads of their own. restore, test and notify are
    optional: what a subclass has is found out."""

    name = ""
    version = ""
    settings = ()  # dicts with name, description, default_value, required, one_of, secret, steers

    def deliver(self, request, response):
        raise NotImplementedError

    restore = test = notify = None


def serve(sink):
    """Runs the sink until the supervisor ends the process."""
    if os.environ.get(COOKIE[0]) != COOKIE[1]:
        sys.exit(
            "This is a Tokenkeeper sink: a plugin, not a program to run by hand.\n"
            'Name it in "command:" of a sink in tokenkeeper.yaml, and start "tokenkeeper run".'
        )
    _log_to_supervisor()
    ending = threading.Event()
    held = _watch_lifeline(ending)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGABRT, signal.SIGINT):
        signal.signal(number, lambda *_: held or ending.set())

    server = grpc.server(concurrent.futures.ThreadPoolExecutor(max_workers=MAX_THREADS))
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(SERVICE, _handlers(sink)),
            # Both speak protobuf's encoding, but nothing has to be read:
            # HealthCheckResponse{status: SERVING}, and Empty{}.
            grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": _raw(lambda: b"\x08\x01")}),
            grpc.method_handlers_generic_handler("plugin.GRPCController", {"Shutdown": _raw(lambda: ending.set() or b"")}),
        )
    )
    # The supervisor gives a directory; other hosts of go-plugin may not.
    socket = os.path.join(os.environ.get("PLUGIN_UNIX_SOCKET_DIR") or tempfile.mkdtemp(), "sink")
    credentials, certificate = _mutual_tls()
    if not server.add_secure_port("unix:" + socket, credentials):
        sys.exit("the sink can't listen on " + socket)
    server.start()
    print("1|" + PROTOCOL_VERSION + "|unix|" + socket + "|grpc|" + certificate, flush=True)
    ending.wait()
    server.stop(GRACE_SECONDS).wait()


def _handlers(sink):
    def describe(_, response):
        response.name, response.version = sink.name, sink.version
        for setting in sink.settings:
            response.settings.add(**setting)
        response.restorer = sink.restore is not None
        response.tester = sink.test is not None
        response.notifier = sink.notify is not None

    calls = {
        "Describe": describe,
        "Ping": lambda *_: None,
        "Deliver": sink.deliver,
        "Restore": sink.restore,
        "Test": sink.test,
        "Notify": sink.notify,
    }
    return {name: _handler(name, call) for name, call in calls.items() if call is not None}


def _handler(name, call):
    request_class, response_class = MESSAGES[name]

    def handle(request, context):
        response = response_class()
        try:
            call(request, response)
            return response
        except Failure as failure:
            code, text = failure.code, str(failure)
        except Exception as fault:
            # Its text may hold a token: its type and the place are all that is told.
            place = fault.__traceback__
            while place.tb_next is not None:
                place = place.tb_next
            file = os.path.basename(place.tb_frame.f_code.co_filename)
            code = grpc.StatusCode.INTERNAL
            text = "a fault in the sink: %s at %s:%d" % (type(fault).__name__, file, place.tb_lineno)
            log.error(text)
        context.set_code(code)
        context.set_details(text)
        return response

    return grpc.unary_unary_rpc_method_handler(
        handle,
        request_deserializer=request_class.FromString,
        response_serializer=lambda message: message.SerializeToString(),
    )


def _raw(answer):
    return grpc.unary_unary_rpc_method_handler(lambda _request, _context: answer())


def _mutual_tls():
    """Makes this process's certificate, and trusts the supervisor's alone."""
    peer = os.environ.get("PLUGIN_CLIENT_CERT", "")
    if not peer:
        sys.exit("the sink got no certificate of its supervisor (PLUGIN_CLIENT_CERT)")
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


def _log_to_supervisor():
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.raiseExceptions = False  # a supervisor that was killed reads no log
