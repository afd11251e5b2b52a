"""What a crawl is compared with: a plain Scrapy spider over a sitemap that saves each body into a file.

python -m benchmarks.plain_spider SITEMAP FOLDER [--concurrency N]
"""

import argparse
import hashlib
from pathlib import Path
from typing import Any

from scrapy.crawler import AsyncCrawlerProcess
from scrapy.http import Response
from scrapy.spiders import SitemapSpider


class Plain(SitemapSpider):
    """Saves the body of every page that a sitemap names."""

    name = "plain"

    def __init__(self, sitemap: str, folder: Path) -> None:
        super().__init__(sitemap_urls=[sitemap])
        self._folder = folder

    def parse(self, response: Response, **_: Any) -> None:  # noqa: ANN401  (Scrapy's signature)
        """Save a page."""
        name = hashlib.sha256(response.url.encode()).hexdigest()
        (self._folder / f"{name}.html").write_bytes(response.body)


def main() -> None:
    """Crawl."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plain_spider", description=__doc__.split("\n")[0])
    parser.add_argument("sitemap")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--concurrency", type=int, default=8, metavar="N", help="requests to the host at the same time")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    process = AsyncCrawlerProcess(
        {
            "ROBOTSTXT_OBEY": True,
            "AUTOTHROTTLE_ENABLED": False,
            "DOWNLOAD_DELAY": 0,
            "CONCURRENT_REQUESTS": 64,
            "CONCURRENT_REQUESTS_PER_DOMAIN": given.concurrency,
            "LOG_LEVEL": "ERROR",  # writing a line a page is not what is compared
            "TELNETCONSOLE_ENABLED": False,
        }
    )
    process.crawl(Plain, sitemap=given.sitemap, folder=given.folder)
    process.start()


if __name__ == "__main__":
    main()
