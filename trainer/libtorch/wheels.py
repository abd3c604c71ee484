"""Fetches a pinned wheel from wherever pip is configured to look, continuing what was begun.

pip itself starts an interrupted download anew, so the bytes are fetched here, with pip's settings
(index, links, certificates, proxy): a partial file stays beside the finished ones and the next try
asks the server for the rest. Where an index can only be spoken to by pip (a keyring, say), pip does it.
"""

import ast
import base64
import fcntl
import hashlib
import html.parser
import http.client
import json
import netrc
import os
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

PINS = Path(__file__).with_name("wheels.txt")
JSON_INDEX = "application/vnd.pypi.simple.v1+json"
TRIES = 8


def pinned(wanted):
    """The wheels of a set, as (file name, SHA-256)."""
    rows = [line.split() for line in PINS.read_text().splitlines() if line.strip() and not line.startswith("#")]
    return [(name, digest) for group, digest, name in rows if group == wanted]


def fetch(name, digest, cache):
    """The path of a wheel with that name and hash, fetched where it is not there yet."""
    cache.mkdir(parents=True, exist_ok=True)
    target = cache / name
    with open(cache / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if target.exists():
            return target
        settings = pip_settings()
        for folder in map(Path, settings.get("find-links", [])):
            if (folder / name).is_file() and sha256(folder / name) == digest:
                return folder / name
        partial = cache / (name + ".part")
        try:
            url, opener = locate(name, settings)
        except (OSError, LookupError, ValueError) as reason:
            print(f"{name}: {reason}; leaving it to pip", file=sys.stderr)
            return through_pip(name, digest, cache)
        download(opener, url, partial, name)
        if sha256(partial) != digest:
            partial.unlink()
            sys.exit(f"{name}: what {url} sent is not the pinned file; it was removed, try again")
        partial.replace(target)
    return target


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def pip_settings():
    """What `pip config` knows for `pip download`: environment over command over global, in lists of words."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    settings, ranks = {}, {"global": 0, "download": 1, ":env:": 2}
    found = {}
    for line in listed.stdout.splitlines():
        key, _, value = line.partition("=")
        section, _, name = key.partition(".")
        if section in ranks and ranks[section] >= found.get(name, -1):
            found[name] = ranks[section]
            settings[name] = str(ast.literal_eval(value)).split()
    return settings


def locate(name, settings):
    """Where the wheel is, and an opener that speaks to that place as pip would."""
    opener = opener_for(settings)
    project = name.split("-")[0].replace("_", "-").lower()
    pages = [link for link in settings.get("find-links", []) if link.startswith("http")]
    if not settings.get("no-index"):
        indexes = settings.get("index-url", ["https://pypi.org/simple"]) + settings.get("extra-index-url", [])
        pages += [f"{index.rstrip('/')}/{project}/" for index in indexes]
    problems = []
    for page in pages:
        try:
            for file_name, url in links_on(page, opener):
                if file_name == name:
                    return url, opener
        except OSError as problem:
            problems.append(f"{urllib.parse.urlsplit(page).hostname}: {problem}")
    raise LookupError("; ".join(problems) or "not in the configured package indexes")


def opener_for(settings):
    first = lambda key: (settings.get(key) or [None])[0]
    authority = first("cert") or os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    context = ssl.create_default_context()
    if authority:
        where = "capath" if os.path.isdir(authority) else "cafile"
        context.load_verify_locations(**{where: authority})
    if first("client-cert"):
        context.load_cert_chain(first("client-cert"))
    handlers = [urllib.request.HTTPSHandler(context=context)]
    if first("proxy"):
        handlers.append(urllib.request.ProxyHandler({"http": first("proxy"), "https": first("proxy")}))
    return urllib.request.build_opener(*handlers)


def request(url, headers):
    """A request that carries the name and password of the URL, or of ~/.netrc, as pip's do."""
    parts = urllib.parse.urlsplit(url)
    login = None
    if parts.username:
        login = (urllib.parse.unquote(parts.username), urllib.parse.unquote(parts.password or ""))
        url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    else:
        try:
            known = netrc.netrc().authenticators(parts.hostname or "")
            login = known and (known[0], known[2])
        except (OSError, netrc.NetrcParseError):
            pass
    if login:
        headers["Authorization"] = "Basic " + base64.b64encode(":".join(login).encode()).decode()
    return urllib.request.Request(url, headers=headers)


def links_on(page, opener):
    """The files a simple index lists, as (file name, URL); the index answers in JSON or in HTML."""
    accept = f"{JSON_INDEX}, text/html;q=0.5"
    with opener.open(request(page, {"Accept": accept}), timeout=60) as answer:
        body, base = answer.read().decode(), answer.geturl()
        is_json = answer.headers.get_content_type() == JSON_INDEX
    hrefs = [file["url"] for file in json.loads(body)["files"]] if is_json else Anchors(body).hrefs
    secret = urllib.parse.urlsplit(page).netloc.rpartition("@")[0]
    for href in hrefs:
        url = urllib.parse.urlsplit(urllib.parse.urljoin(base, href))._replace(fragment="")
        if secret and url.hostname == urllib.parse.urlsplit(page).hostname:
            url = url._replace(netloc=f"{secret}@{url.netloc}")
        yield urllib.parse.unquote(url.path.rpartition("/")[2]), url.geturl()


class Anchors(html.parser.HTMLParser):
    def __init__(self, body):
        super().__init__()
        self.hrefs = []
        self.feed(body)

    def handle_starttag(self, tag, attributes):
        self.hrefs += [value for key, value in attributes if tag == "a" and key == "href" and value]


def download(opener, url, partial, name):
    """Fills `partial` to its end, however often the connection breaks."""
    for attempt in range(1, TRIES + 1):
        begun = partial.stat().st_size if partial.exists() else 0
        try:
            return download_rest(opener, url, partial, name, begun)
        except urllib.error.HTTPError as problem:
            if problem.code == 416:  # Nothing is left to send: the hash will tell whether that is right.
                return None
            reason = f"the server answers {problem.code}"
        except (OSError, http.client.HTTPException) as problem:
            reason = str(problem)
        if attempt == TRIES:
            sys.exit(f"{name}: {reason}. What has come so far is kept; run the same command again to continue.")
        print(f"{name}: {reason}; trying again", file=sys.stderr)
        time.sleep(min(2**attempt, 30))
    return None


def download_rest(opener, url, partial, name, begun):
    headers = {"Range": f"bytes={begun}-"} if begun else {}
    with opener.open(request(url, headers), timeout=60) as answer:
        continues = answer.status == 206
        begun = begun if continues else 0
        total = begun + int(answer.headers.get("Content-Length") or 0)
        progress = Progress(name, begun, total)
        with open(partial, "ab" if continues else "wb") as file:
            for block in iter(lambda: answer.read(1 << 18), b""):
                file.write(block)
                progress.advance(len(block))
        progress.end()
    if total and partial.stat().st_size < total:
        raise OSError("the connection broke off")


class Progress:
    """One line that is rewritten on a terminal; elsewhere a line per tenth of what takes a while."""

    def __init__(self, name, begun, total):
        self.name, self.begun, self.done, self.total = name.split("-cp")[0].split("-py")[0], begun, begun, total
        self.started, self.said = time.monotonic(), 0.0
        self.is_terminal = sys.stderr.isatty()
        self.tenth = self.tenth_done()
        if begun:
            print(f"{self.name}: continuing at {begun / 1e6:.0f} of {total / 1e6:.0f} MB", file=sys.stderr)

    def advance(self, n_bytes):
        self.done += n_bytes
        now, tenth = time.monotonic(), self.tenth_done()
        if (self.is_terminal and now - self.said > 0.2) or (not self.is_terminal and tenth > self.tenth):
            self.say("\r" if self.is_terminal else "\n")
            self.tenth, self.said = tenth, now

    def tenth_done(self):
        return 10 * self.done // self.total if self.total > 50e6 else 10 * (self.done >= self.total)

    def say(self, ending):
        speed = (self.done - self.begun) / max(time.monotonic() - self.started, 1e-3)
        left = (self.total - self.done) / speed if speed and self.total else 0
        share = f"{100 * self.done / self.total:3.0f} % of " if self.total else ""
        line = f"{self.name}: {share}{(self.total or self.done) / 1e6:.0f} MB, {speed / 1e6:.1f} MB/s, {left:.0f} s left"
        print(f"{line:<78}", end=ending, file=sys.stderr, flush=True)

    def end(self):
        if self.is_terminal:
            self.say("\n")


def through_pip(name, digest, cache):
    """pip's own download, checked against the same hash."""
    project, version, *_, platform = name[: -len(".whl")].split("-")
    requirement = cache / (name + ".requirement")
    requirement.write_text(f"{project}=={version} --hash=sha256:{digest}\n")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--dest", str(cache)]
    command += ["--python-version", "3.12", "--require-hashes", "--requirement", str(requirement)]
    if platform != "any":
        command += ["--platform", platform.split(".")[0]]
    failed = subprocess.run(command, stdout=sys.stderr).returncode
    requirement.unlink()
    if failed:
        sys.exit(f"{name}: pip could not fetch it either; is the network, or pip's index, set up?")
    return cache / name
