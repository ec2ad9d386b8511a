"""`catalog refresh`: fetch or read prices, show what has changed, and write a new version when asked."""

from __future__ import annotations

import argparse
from datetime import date
from pathlib import Path

from sizing import catalog as catalogs
from sizing.errors import InputError
from sizing.refresh.changes import diff, diff_text
from sizing.refresh.offers import GPUHUNT_PROVIDERS, Offer, fetched, from_csv
from sizing.refresh.write import COLLECTED, write


def run(*, providers: list[str], prices: str | None, save: bool, accept_large: bool, on: date) -> int:
    """Print the diff, and with `save` write it; 0 done. Raises InputError for what cannot be fetched, read or written."""
    asked = providers or list(GPUHUNT_PROVIDERS)
    offers: list[Offer]
    if prices is not None:
        source = "own-prices"
        offers = from_csv(_text(prices))
        about = f"prices entered from {Path(prices).name} on {on.isoformat()}"
    else:
        source = COLLECTED
        offers = fetched(asked)
        about = f"gpuhunt's public price lists, collected from the providers' own ({on.isoformat()}, MPL-2.0)"
    found = diff(catalogs.load(), offers, providers=asked)
    print(diff_text(found, source=source), end="")
    if not save:
        print("Nothing is written; --write keeps this as a new version of the catalog.")
        return 0
    taken = [change for change in found.changes if accept_large or not change.is_large]
    if not taken:
        raise InputError("catalog refresh", "no price to write", "offers that match instances of the catalog")
    directory = catalogs.directory_of()
    kept = write(taken, source=source, about=about, on=on, directory=directory)
    print(
        f"Wrote {len(taken)} prices; the new version is {kept.name.removesuffix('.json.gz')}, older ones stay loadable."
    )
    return 0


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, ValueError):
        raise InputError("from", path, "a CSV file that can be read") from None


def add_arguments(parser: argparse._ArgumentGroup) -> None:
    """Options of the command."""
    parser.add_argument("--provider", action="append", default=[], help="only these clouds; may be given again")
    parser.add_argument(
        "--from", dest="prices", metavar="CSV", help="read prices from this file instead of the network"
    )
    parser.add_argument("--write", action="store_true", help="write the new prices as a new version")
    parser.add_argument("--accept-large", action="store_true", help="write changes of more than 30 % too")
