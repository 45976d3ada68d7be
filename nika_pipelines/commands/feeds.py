"""The feeds of the inbox and which of them have a system to process them."""

import typer

FEEDS = ("tables", "images", "transactions", "stores", "behaviour")
PROCESSED_FEEDS = ("tables",)


def known_feed(feed: str) -> str:
    """Check a feed that is only asked about.

    Raises:
        typer.BadParameter: there is no such feed.
    """
    if feed not in FEEDS:
        raise typer.BadParameter(f"there is no feed {feed!r}; the feeds are {', '.join(FEEDS)}")
    return feed


def processed_feed(feed: str) -> str:
    """Check a feed that files are to be given to.

    Raises:
        typer.BadParameter: there is no such feed, or nothing processes it yet.
    """
    if known_feed(feed) not in PROCESSED_FEEDS:
        available = ", ".join(PROCESSED_FEEDS)
        raise typer.BadParameter(
            f"this version has no system for the feed {feed!r} yet; it has: {available}"
        )
    return feed
