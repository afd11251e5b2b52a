"""Which addresses belong to a source: its sites, its patterns, and which links are followed."""

from functools import lru_cache
from urllib.parse import urlsplit

from ingest.exchanges import registered_domain
from ingest.links import is_trap, normal, wanted
from ingest.sitemap import INTERCOM_ARTICLES
from ingest.sources import WebSource
from ingest.state import QueueKind


@lru_cache(maxsize=10_000)
def site_of(host: str) -> str:
    """Give the registered domain of a host; the host itself where it has none, as a number has."""
    return registered_domain(host) or host


def host_of(url: str) -> str:
    """Give an address's host, without port.

    >>> host_of("https://help.example:8443/a")
    'help.example'
    """
    return urlsplit(url).hostname or ""


class Scope:
    """What a source reads.

    A page is *kept* if the source's patterns want it. In a walk from a start page, links to the start pages' hosts are
    *followed* if they lead to a page that is kept, or lie below a start page's folder: a list of articles need not be
    an article itself. What ``exclude`` names is neither kept nor followed.
    """

    def __init__(self, source: WebSource) -> None:
        self._include = source.include or ((INTERCOM_ARTICLES,) if source.kind == "intercom" else ())
        self._exclude = source.exclude
        self._sites = {site_of(host_of(url)) for url in source.start}
        self._hosts = {urlsplit(url).netloc for start in source.start if (url := normal(start))}
        self._folders = tuple(_folder(url) for start in source.start if (url := normal(start)))

    def add_start(self, url: str) -> None:
        """Take the address that a start page redirects to for a start page."""
        self._hosts.add(urlsplit(url).netloc)
        self._folders = (*self._folders, _folder(url))

    def on_site(self, url: str) -> bool:
        """Tell whether an address is on a registered domain of the source."""
        return site_of(host_of(url)) in self._sites

    def keeps(self, url: str) -> bool:
        """Tell whether an address is to become an article."""
        return wanted(url, self._include, self._exclude)

    def excludes(self, url: str) -> bool:
        """Tell whether the operator does not want an address to be asked for."""
        return bool(self._exclude) and not wanted(url, (), self._exclude)

    def kind(self, url: str) -> QueueKind:
        """Tell whether an address of a walk is a page, or only read for its links."""
        return "page" if self.keeps(url) else "start"

    def follows(self, url: str) -> QueueKind | None:
        """Tell as what a link is followed; None where it is not."""
        if urlsplit(url).netloc not in self._hosts or is_trap(url):
            return None
        if self.keeps(url):
            return "page"
        return "start" if not self.excludes(url) and url.startswith(self._folders) else None


def _folder(url: str) -> str:
    """Give an address up to the last slash of its path.

    >>> _folder("https://help.example/en/start?x=/y")
    'https://help.example/en/'
    """
    return url.partition("?")[0].rpartition("/")[0] + "/"
