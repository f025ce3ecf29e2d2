"""scripts/vendor_spec.py takes the OpenAPI block of a docs page as it is, or refuses the page."""

import os
import ssl
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import trustme

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "tests/data/create-token.md"
MARKDOWN = PAGE.read_bytes()
OPENAPI = MARKDOWN.partition(b"\n```yaml\n")[2].partition(b"\n```\n")[0] + b"\n"
HTML = b"<!doctype html>\n<html><body><pre><code>\nopenapi: 3.1.0\ninfo: {}\npaths: {}\n</code></pre></body></html>\n"


def block(body):
    return b"# A page\n\n```yaml\n" + body + b"```\n"


def vendor(page, output, **env):
    """Run the script without the proxies and certificates that the tests' own environment may name."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().endswith(("_PROXY", "SSL_CERT_FILE"))}
    return subprocess.run(
        [sys.executable, ROOT / "scripts/vendor_spec.py", str(page), str(output)],
        check=False,
        capture_output=True,
        text=True,
        env=kept | env,
        timeout=60,
    )


@pytest.fixture
def output(tmp_path):
    path = tmp_path / "openapi.yaml"
    path.write_bytes(b"the last good spec\n")
    return path


def assert_vendored(run, output, expected):
    assert (run.returncode, run.stderr) == (0, "")
    assert output.read_bytes() == expected


def assert_refused(run, output, page, reason):
    assert run.returncode == 1
    assert run.stderr.startswith(f"vendor_spec: {page}: ")
    assert reason in run.stderr
    assert "Traceback" not in run.stderr
    assert output.read_bytes() == b"the last good spec\n"


def test_the_block_of_the_page_is_vendored_byte_for_byte(output):
    assert_vendored(vendor(PAGE, output), output, OPENAPI)
    assert MARKDOWN.count(OPENAPI) == 1
    # The fences within the descriptions are indented; they do not end the block.
    assert OPENAPI.count(b"            ```\n") == OPENAPI.count(b"        ```\n") - 2 == 2


def test_line_endings_are_kept(tmp_path, output):
    page = tmp_path / "page.md"
    page.write_bytes(MARKDOWN.replace(b"\n", b"\r\n"))
    assert_vendored(vendor(page, output), output, OPENAPI.replace(b"\n", b"\r\n"))


def test_another_yaml_block_is_passed_over(tmp_path, output):
    page = tmp_path / "page.md"
    page.write_bytes(block(b"permissions:\n  - calling\n") + MARKDOWN + block(b"x-openapi: 3.1.0\n"))
    assert_vendored(vendor(page, output), output, OPENAPI)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(HTML, "found 0", id="HTML"),
        pytest.param(b"", "found 0", id="empty"),
        pytest.param(MARKDOWN[: MARKDOWN.index(b"Project.TokenResponse:")], "found 0", id="cut within the block"),
        pytest.param(MARKDOWN + block(OPENAPI), "found 2", id="two OpenAPI blocks"),
        pytest.param(block(b"swagger: '2.0'\ninfo: {}\npaths: {}\n"), "found 0", id="not OpenAPI"),
        pytest.param(block(b"openapi: 3.1.0\ninfo: {}\n"), "lacks openapi, info or paths", id="no paths"),
        pytest.param(block(b"openapi: 3.1.0\ninfo: {\npaths: {}\n"), "not valid YAML", id="invalid YAML"),
        pytest.param(block(b"openapi: 3.1.0\ninfo: 2026-02-30\npaths: {}\n"), "not valid YAML", id="invalid date"),
        pytest.param(block(b"openapi: 3.1.0\ninfo: \xff\npaths: {}\n"), "not valid YAML", id="not UTF-8"),
        # What follows the lost fence becomes part of the block, up to the next fence in column 0.
        pytest.param(MARKDOWN.replace(OPENAPI + b"```\n", OPENAPI), "not valid YAML", id="closing fence lost"),
    ],
)
def test_a_page_without_exactly_one_valid_block_is_refused(tmp_path, output, content, reason):
    page = tmp_path / "page.md"
    page.write_bytes(content)
    assert_refused(vendor(page, output), output, page, reason)


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        ("no-such-page.md", "No such file"),
        ("http://127.0.0.1:9/create-token.md", "is not an https URL"),
        ("https://127.0.0.1:port/create-token.md", "Invalid port"),
    ],
)
def test_a_page_that_cannot_be_read_is_refused(output, page, reason):
    assert_refused(vendor(page, output), output, page, reason)


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def trusted(authority, tmp_path_factory):
    """Return the path of a certificate bundle that holds only the test's authority."""
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


class DocsSite(BaseHTTPRequestHandler):
    pages = {  # noqa: RUF012
        "/create-token.md": (200, MARKDOWN),
        "/login.md": (200, HTML),
        "/missing.md": (404, MARKDOWN),
        "/moved.md": (302, MARKDOWN),
    }

    def do_GET(self):
        status, body = self.pages[self.path]
        self.send_response(status)
        self.send_header("Location", "/create-token.md")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        """Keep quiet."""


@pytest.fixture(scope="module")
def site(authority):
    """Serve the pages over TLS on loopback and return the URL."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with ThreadingHTTPServer(("127.0.0.1", 0), DocsSite) as server:
        server.handle_error = lambda *_: None  # a client that does not trust the certificate hangs up
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"https://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_an_https_page_is_vendored(site, trusted, output):
    run = vendor(f"{site}/create-token.md", output, SSL_CERT_FILE=trusted)
    assert_vendored(run, output, OPENAPI)


@pytest.mark.parametrize(
    ("path", "reason"),
    [("/login.md", "found 0"), ("/missing.md", "404"), ("/moved.md", "302")],
    ids=lambda value: value,
)
def test_an_https_answer_that_is_not_the_page_is_refused(site, trusted, output, path, reason):
    run = vendor(site + path, output, SSL_CERT_FILE=trusted)
    assert_refused(run, output, site + path, reason)


def test_an_https_page_of_an_untrusted_server_is_refused(site, output):
    page = f"{site}/create-token.md"
    assert_refused(vendor(page, output), output, page, "CERTIFICATE_VERIFY_FAILED")
