"""The feeds of the inbox and which of them have a system to process them."""

import typer

from nika_pipelines.feeds import FEEDS, KNOWN_FEEDS


def known_feed(feed: str) -> str:
    """Check a feed that is only asked about.

    Raises:
        typer.BadParameter: there is no such feed.
    """
    if feed not in KNOWN_FEEDS:
        known = ", ".join(FEEDS)
        raise typer.BadParameter(f"there is no feed {feed!r}; the feeds are {known}")
    return feed


def processed_feed(feed: str) -> str:
    """Check a feed that files are to be given to.

    Raises:
        typer.BadParameter: there is no such feed, or nothing processes it yet.
    """
    if known_feed(feed) not in FEEDS:
        available = ", ".join(FEEDS)
        raise typer.BadParameter(
            f"this version has no system for the feed {feed!r} yet; it has: {available}"
        )
    return feed
