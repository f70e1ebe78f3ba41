"""A whole Django application in one file; it neither knows nor cares where it is mounted.

Django takes what it routes by from PATH_INFO, and puts SCRIPT_NAME before the URLs that it
makes. "application" is what WSGI servers look for.
"""

import hashlib
import time

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path, re_path, reverse
from django.utils.html import format_html, format_html_join
from django.views.decorators.csrf import csrf_exempt

settings.configure(
    SECRET_KEY="an example, which signs nothing",
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],  # luaserve's vhost.map has looked at the host already
    DATA_UPLOAD_MAX_MEMORY_SIZE=None,
)

SHOWN = ("SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "REQUEST_URI", "REQUEST_METHOD",
         "SERVER_NAME", "HTTP_HOST", "REMOTE_ADDR")


def index(request):
    rows = format_html_join("\n", "<tr><th>{}</th><td>{}</td></tr>",
                            ((name, request.META.get(name, "")) for name in SHOWN))
    return HttpResponse(format_html("""<!DOCTYPE html>
<html lang="en">
<title>Django behind luaserve</title>
<link rel="stylesheet" href="/trac-static/style.css">
<h1><img src="/chrome/common/logo.png" alt="" width="32"> Django behind luaserve</h1>
<table>{}</table>
<ul>
  <li><a href="{}">a page of the wiki</a>
  <li><a href="{}">lines that arrive one by one</a>
</ul>
<form action="{}" method="post"><input name="text" value="text"> <button>Post</button></form>
</html>
""", rows, reverse("wiki", args=["Start"]), reverse("stream"), reverse("echo")))


def environ(request):
    """What the server said about the request, as JSON."""
    return JsonResponse({k: v for k, v in request.META.items() if isinstance(v, str)})


def wiki(request, page):
    return HttpResponse(format_html("<!DOCTYPE html>\n<title>{0}</title>\n<h1>{0}</h1>\n"
                                    '<p>at <a href="{1}">{1}</a></p>\n',
                                    page, reverse("wiki", args=[page])))


@csrf_exempt
def echo(request):
    return HttpResponse("".join(f"{name}={value}\n" for name, value in request.POST.items()),
                        content_type="text/plain; charset=utf-8")


@csrf_exempt
def upload(request):
    body = request.body
    return JsonResponse({"length": len(body), "sha256": hashlib.sha256(body).hexdigest()})


def stream(request):
    def lines():
        for i in range(1, 6):
            yield f"line {i}\n"
            time.sleep(0.2)
    return StreamingHttpResponse(lines(), content_type="text/plain; charset=utf-8")


urlpatterns = [
    path("", index),
    path("environ", environ),
    path("environ/<path:rest>", lambda request, rest: environ(request)),
    re_path("^wiki/(.+)$", wiki, name="wiki"),
    path("echo", echo, name="echo"),
    path("upload", upload),
    path("stream", stream, name="stream"),
]

application = get_wsgi_application()
