"""scripts/vendor_spec.py takes the OpenAPI description of each docs page as it is, or refuses the pages."""

import ssl
import subprocess
import sys
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import trustme

from vendor_spec import PAGES, WAITS, PageError, main, take

ROOT = Path(__file__).parent.parent
UPSTREAM = ROOT / "tests/data/upstream/create-token.md"
MARKDOWN = UPSTREAM.read_bytes()
OPENAPI = MARKDOWN.partition(b"\n```yaml\n")[2].partition(b"\n```\n")[0] + b"\n"
HTML = b"<!doctype html>\n<html><body><pre><code>\nopenapi: 3.1.0\ninfo: {}\npaths: {}\n</code></pre></body></html>\n"


def block(body, fence=b"```yaml"):
    return b"# A page\n\n" + fence + b"\n" + body + b"```\n"


def sibling(page):
    """Return the page of another operation, as its site would show it."""
    responses = b"      responses:\n        '204':\n          description: Done.\n"
    path = f"openapi: 3.1.0\ninfo: {{title: t, version: 1.0.0}}\npaths:\n  {page.path}:\n    {page.method}:\n".encode()
    parameter = b"      parameters: [{name: token_id, in: path, required: true, schema: {type: string}}]\n"
    return block(path + parameter + responses)


def never(seconds):
    raise AssertionError(f"it would wait {seconds} s")


def specs(source, root=ROOT):
    """Take the pages and return the description of each, and all that is said."""
    found, notes = take(str(source), root, never)
    return {one.page.name: one.spec for one in found}, [*notes, *(one.note for one in found if one.note)]


@pytest.fixture
def page(tmp_path):
    """A file for a page."""
    return tmp_path / "page.md"


def test_the_block_of_the_page_is_taken_byte_for_byte():
    assert specs(UPSTREAM) == ({"create-token": OPENAPI}, [])
    assert MARKDOWN.count(OPENAPI) == 1
    # The fences within the descriptions are indented; they do not end the block.
    assert OPENAPI.count(b"            ```\n") == OPENAPI.count(b"        ```\n") - 2 == 2


def test_crlf_is_no_other_text_and_is_said_once(page):
    page.write_bytes(MARKDOWN.replace(b"\n", b"\r\n"))
    assert specs(page) == ({"create-token": OPENAPI}, [f"The lines of {page} end with CRLF; they are kept with LF."])
    [taken], _ = take(str(page), ROOT)
    assert taken.content == MARKDOWN


@pytest.mark.parametrize(
    ("opening", "closing"),
    [
        (b"````yaml", b"````"),
        (b"~~~yaml", b"~~~"),
        (b'```yaml title="openapi.yaml"', b"```"),
        (b"```YAML", b"```"),
        (b"``` yml", b"`````  "),
        (b"```", b"```"),
        (b"~~~~", b"~~~~"),
    ],
)
def test_a_block_is_known_by_what_it_holds(page, opening, closing):
    fenced = b"\n```yaml\n" + OPENAPI + b"```\n"
    assert MARKDOWN.count(fenced) == 1
    page.write_bytes(MARKDOWN.replace(fenced, b"\n" + opening + b"\n" + OPENAPI + closing + b"\n"))
    assert specs(page) == ({"create-token": OPENAPI}, [])


def test_another_block_is_passed_over(page):
    others = block(b"permissions:\n  - calling\n"), block(b"x-openapi: 3.1.0\n", b"~~~\n```\n~~~\n```yaml")
    page.write_bytes(others[0] + MARKDOWN + others[1])
    assert specs(page) == ({"create-token": OPENAPI}, [])


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
        pytest.param(
            MARKDOWN.replace(b"        - subpackage_projectTokens\n", b"        - - subpackage_projectTokens\n"),
            'not valid OpenAPI: line 35 of the block, paths./api/project/tokens.post.tags.0: ["subpackage_project',
            id="tags within tags",
        ),
        pytest.param(
            MARKDOWN.replace(b"          in: header\n", b"          in_: header\n"),
            'not valid OpenAPI: line 37 of the block, paths./api/project/tokens.post.parameters.0: "in" is a required',
            id="names with an underscore",
        ),
        pytest.param(
            MARKDOWN.replace(b"      type: http\n", b"      type_: http\n"),
            "not valid OpenAPI: line ",
            id="type_ where a type is required",
        ),
        pytest.param(
            MARKDOWN.replace(b"    Project.TokenResponse:\n", b"    Project.Other:\n"),
            "not valid OpenAPI: nothing is at the reference ",
            id="a reference to nothing",
        ),
        pytest.param(MARKDOWN.replace(b"openapi: 3.1.0", b"openapi: 9.1.0"), "not valid OpenAPI: ", id="other version"),
        pytest.param(
            MARKDOWN.replace(b"\n    post:\n", b"\n    put:\n"),
            "this page describes PUT /api/project/tokens, not POST /api/project/tokens",
            id="another method",
        ),
        pytest.param(
            sibling(PAGES[1]),
            "this page describes PATCH /api/project/tokens/{token_id}, not POST /api/project/tokens",
            id="another page",
        ),
        pytest.param(
            block(b"openapi: 3.1.0\ninfo: {title: t, version: 1.0.0}\npaths: {}\n"), "no operation", id="none"
        ),
    ],
)
def test_a_page_that_is_not_the_page_is_refused(page, content, reason):
    assert content != MARKDOWN
    page.write_bytes(content)
    with pytest.raises(PageError) as caught:
        specs(page)
    assert str(caught.value).startswith(f"{page}: ")
    assert reason in str(caught.value)


# Several pages.


@pytest.fixture
def folder(tmp_path):
    """A folder that has all pages."""
    for page in PAGES:
        (tmp_path / f"{page.name}.md").write_bytes(MARKDOWN if page is PAGES[0] else sibling(page))
    return tmp_path


@pytest.mark.parametrize("form", ["{}", "{}/"])
def test_all_pages_of_a_folder_are_taken(folder, form):
    found, notes = specs(form.format(folder))
    assert (list(found), notes) == ([page.name for page in PAGES], [])
    assert found["create-token"] == OPENAPI


def test_a_page_that_was_never_there_is_done_without(folder):
    (folder / "update-token.md").unlink()
    found, [note] = specs(folder)
    assert list(found) == ["create-token", "delete-token"]
    assert note.startswith(f"There is no page {folder}/update-token.md, so the overlay serves in its place")


@pytest.mark.parametrize("missing", PAGES, ids=lambda page: page.name)
def test_a_page_that_was_there_before_must_be_there(folder, missing):
    for page in PAGES:
        (folder / page.spec).parent.mkdir(exist_ok=True)
        (folder / page.spec).write_bytes(b"")
    (folder / f"{missing.name}.md").unlink()
    with pytest.raises(PageError, match=rf"{missing.name}\.md: No such file"):
        specs(folder, folder)


def test_a_page_in_the_place_of_another_is_refused(folder):
    (folder / "delete-token.md").write_bytes(sibling(PAGES[1]))
    with pytest.raises(PageError, match=r"delete-token\.md: this page describes PATCH .*, not DELETE "):
        specs(folder)


# The command.


def files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def repository(tmp_path_factory, monkeypatch):
    """An empty folder to take pages into."""
    monkeypatch.chdir(tmp_path_factory.mktemp("repository"))
    return Path()


def test_the_command_takes_the_pages_and_says_what_comes_next(folder, repository, capsys):
    main(str(folder))
    assert capsys.readouterr().out.splitlines() == [
        "Taken: openapi.yaml, openapi/update-token.yaml, openapi/delete-token.yaml.",
        "Next: mend what does not fit, and run `make update-spec` for all that follows from it.",
    ]
    assert files(repository) == {name for page in PAGES for name in (page.spec, page.copy)}
    assert Path("openapi.yaml").read_bytes() == OPENAPI
    assert Path("tests/data/create-token.md").read_bytes() == MARKDOWN


def test_the_command_takes_nothing_from_pages_that_are_refused(folder, repository):
    (folder / "delete-token.md").write_bytes(HTML)
    command = [sys.executable, ROOT / "scripts/vendor_spec.py", folder]
    run = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stdout, files(repository)) == (1, "", set())
    assert run.stderr.startswith(f"vendor_spec: nothing was taken: {folder}/delete-token.md: expected exactly one")


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("no-such-page.md", "No such file"),
        ("http://127.0.0.1:9/create-token.md", "not an https URL"),
        ("https://127.0.0.1:port/create-token.md", "Invalid port"),
    ],
)
def test_a_page_that_cannot_be_read_is_refused(address, reason):
    with pytest.raises(PageError, match=f"{address}: {reason}"):
        specs(address)


# Over HTTPS.


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def trusted(authority, tmp_path, monkeypatch):
    """Trust the test's authority alone, and use no proxy."""
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    monkeypatch.setenv("NO_PROXY", "*")


class DocsSite(BaseHTTPRequestHandler):
    """A docs site whose answers are scripted: for each path a list of status, headers and body; the last one stays."""

    def do_GET(self):
        self.server.seen[self.path] += 1
        answers = self.server.answers[self.path]
        status, headers, body = answers.pop(0) if len(answers) > 1 else answers[0]
        if status is None:
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in {"Content-Length": len(body), **headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        """Keep quiet."""


@pytest.fixture(scope="module")
def server(authority):
    """Serve over TLS on loopback."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with ThreadingHTTPServer(("127.0.0.1", 0), DocsSite) as server:
        server.handle_error = lambda *_: None  # a client that does not trust the certificate hangs up
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def site(server):
    """Return the address of the site, and what it answers; it counts what it is asked for."""
    server.answers, server.seen = {"/create-token.md": [(200, {}, MARKDOWN)]}, Counter()
    return f"https://127.0.0.1:{server.server_port}", server.answers, server.seen


@pytest.mark.usefixtures("trusted")
def test_an_https_page_is_taken(site):
    url, _, _ = site
    assert specs(f"{url}/create-token.md") == ({"create-token": OPENAPI}, [])


@pytest.mark.usefixtures("trusted")
def test_all_pages_of_a_site_are_taken_but_those_it_lacks(site):
    url, answers, _ = site
    answers["/create-token.md"].insert(0, (308, {"Location": "/moved/create-token.md"}, b""))
    answers["/moved/create-token.md"] = [(302, {"Location": "../create-token.md"}, b"")]
    answers["/update-token.md"] = [(404, {}, HTML)]
    answers["/delete-token.md"] = [(200, {}, sibling(PAGES[2]))]
    found, [note] = specs(f"{url}/")
    assert list(found) == ["create-token", "delete-token"]
    assert f"no page {url}/update-token.md" in note
    assert "HTTP 404 Not Found" in note


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize(
    ("passing", "waits"),
    [
        ([(503, {}, b"")], [WAITS[0]]),
        ([(429, {"Retry-After": 7}, b""), (None, {}, b"")], [7, WAITS[1]]),
        ([(500, {"Retry-After": 3600}, b""), (502, {"Retry-After": "soon"}, b"")], [60, WAITS[1]]),
        ([(504, {}, b"")] * 3, list(WAITS)),
    ],
)
def test_what_may_pass_is_tried_again(site, passing, waits):
    url, answers, seen = site
    answers["/create-token.md"][:0] = passing
    slept = []
    take(f"{url}/create-token.md", ROOT, slept.append)
    assert (slept, seen["/create-token.md"]) == (waits, len(waits) + 1)


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize(
    ("answer", "reason"), [((503, {}, b""), "HTTP 503 Service Unavailable"), ((None, {}, b""), "disconnected")]
)
def test_what_does_not_pass_is_refused(site, answer, reason):
    url, answers, seen = site
    answers["/create-token.md"] = [answer]
    with pytest.raises(PageError, match=reason):
        take(f"{url}/create-token.md", ROOT, lambda _: None)
    assert seen["/create-token.md"] == len(WAITS) + 1


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((200, {}, HTML), "found 0"),
        ((404, {}, MARKDOWN), "HTTP 404"),
        ((403, {}, MARKDOWN), "HTTP 403"),
        ((302, {"Location": "https://example.com/create-token.md"}, b""), "another site, https://example.com/create"),
        ((302, {"Location": "https://127.0.0.1:9/create-token.md"}, b""), "another site, "),
        ((302, {"Location": "/create-token.md"}, b""), "more than 5 redirects"),
    ],
)
def test_an_https_answer_that_is_not_the_page_is_refused(site, answer, reason):
    url, answers, _ = site
    answers["/create-token.md"] = [answer]
    with pytest.raises(PageError) as caught:
        specs(f"{url}/create-token.md")
    assert reason in str(caught.value)


def test_an_https_page_of_an_untrusted_server_is_refused(site, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    url, _, seen = site
    with pytest.raises(PageError, match="CERTIFICATE_VERIFY_FAILED"):
        take(f"{url}/create-token.md", ROOT, lambda _: None)
    assert not seen
