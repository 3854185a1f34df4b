"""A receiver of webhooks that trusts nothing but the signature.

It verifies with the library that belongs to the specification and answers 204,
or 401 to what does not verify. The secret is the first line of its input, the
end of which ends it. It prints the port that it listens on, and then a line of
JSON for each message: what the library gave back, or why it refused.
"""

import http.server
import json
import os
import sys
import threading

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

webhook = Webhook(sys.stdin.readline().strip())


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            told = {"payload": webhook.verify(body, dict(self.headers.items()))}
            status = 204
        except WebhookVerificationError as refused:
            told = {"refused": str(refused)}
            status = 401
        print(json.dumps(told), flush=True)
        self.send_response(status)
        self.end_headers()

    def log_message(self, *args):
        pass


def end_with_input():
    sys.stdin.read()
    os._exit(0)


server = http.server.HTTPServer(("127.0.0.1", 0), Receiver)
threading.Thread(target=end_with_input, daemon=True).start()
print(server.server_address[1], flush=True)
server.serve_forever()
