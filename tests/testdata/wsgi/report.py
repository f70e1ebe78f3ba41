"""A WSGI application (PEP 3333) that answers with what it was told.

It is loaded by uWSGI, or run as a CGI program."""

import hashlib
import json
from urllib.parse import parse_qs

VARIABLES = "REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "CONTENT_TYPE", "SERVER_PROTOCOL", "wsgi.url_scheme"

# Not the same everywhere: what a proxy adds, and what belongs to a connection or a body. The
# environments of CGI have the latter twice, also as CONTENT_TYPE and CONTENT_LENGTH.
LEFT_OUT = ("HTTP_X_FORWARDED_", "HTTP_CONTENT_", "HTTP_CONNECTION", "HTTP_TRANSFER_ENCODING")


def application(environ, start_response):
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    told = {name: environ.get(name, "") for name in VARIABLES}
    told["header"] = {n: v for n, v in environ.items() if n.startswith("HTTP_") and not n.startswith(LEFT_OUT)}
    told["body"] = [len(body), hashlib.sha256(body).hexdigest()]
    answer = json.dumps(told, indent=1, sort_keys=True).encode()

    query = parse_qs(environ.get("QUERY_STRING", ""))
    status = query.get("status", ["200 OK"])[0]
    fields = [("X-Twice", "1"), ("X-Twice", "2")]
    if "location" in query:
        fields.append(("Location", query["location"][0]))
    if status.startswith(("204", "304")):
        answer = b""
    else:
        fields += [("Content-Type", "application/json"), ("Content-Length", str(len(answer)))]
    start_response(status, fields)
    return [answer]


if __name__ == "__main__":
    from wsgiref.handlers import CGIHandler

    CGIHandler().run(application)
