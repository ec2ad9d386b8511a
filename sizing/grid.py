"""CO2 of a kilowatt-hour where a machine stands, by the name of its region.

Source: Our World in Data after Ember and the Energy Institute, life-cycle CO2 equivalents of generation, year 2023, as the
file global_energy_mix.json of codecarbon 3.3.2 has them (MIT; read 2026-11-25). Belgium to Sweden were compared with the
page of Our World in Data as stored: the same figures. These are means of a country and a year: Google's own figures for
three regions in the United States (322 to 560 g, impact.csv of the same package) lie 13 % below to 52 % above its mean.
"""

from __future__ import annotations

from dataclasses import dataclass

YEAR = 2023
SPREAD = (0.85, 1.5)
"""Region and hour over the mean of its country and year [1], 80 %: the three regions above."""

SOURCE = f"mean of the country in {YEAR}, life cycle: Our World in Data after Ember"


@dataclass(frozen=True, slots=True)
class Grid:
    """CO2 equivalents of a kilowatt-hour [g] with its 80 % interval, and the place it stands for."""

    place: str
    g_per_kwh: float
    low: float
    high: float
    source: str


COUNTRIES = {
    "United States": 369.5, "Ireland": 290.8, "Germany": 381.0, "Netherlands": 267.6, "Sweden": 40.7, "Finland": 79.2,
    "United Kingdom": 237.6, "France": 56.0, "Belgium": 138.1, "Japan": 485.4, "Singapore": 470.8, "Australia": 548.7,
    "India": 713.4, "South Korea": 430.6, "Canada": 170.0,
}  # fmt: skip
"""g CO2 equivalents per kWh of electricity generated."""

# First match counts; the places of regions are the clouds' published ones (recalled, 2026-11).
PLACES = (
    ("eu-north1", "Finland"), ("eu-north-1", "Sweden"), ("swedencentral", "Sweden"), ("europe-north1", "Finland"),
    ("eu-central-1", "Germany"), ("germany", "Germany"), ("europe-west3", "Germany"), ("eu-frankfurt", "Germany"),
    ("eu-west-1", "Ireland"), ("northeurope", "Ireland"), ("eu-west-2", "United Kingdom"), ("uksouth", "United Kingdom"),
    ("europe-west2", "United Kingdom"), ("uk-london", "United Kingdom"), ("europe-west4", "Netherlands"),
    ("westeurope", "Netherlands"), ("eu-amsterdam", "Netherlands"), ("eu-west-3", "France"), ("francecentral", "France"),
    ("eu-west1", "France"), ("europe-west1", "Belgium"), ("ap-northeast-1", "Japan"), ("japaneast", "Japan"),
    ("asia-northeast1", "Japan"), ("ap-tokyo", "Japan"), ("asia-southeast1", "Singapore"), ("southeastasia", "Singapore"),
    ("ap-southeast-1", "Singapore"), ("ap-southeast-2", "Australia"), ("australia", "Australia"), ("ap-south", "India"),
    ("asia-south1", "India"), ("ap-northeast-2", "South Korea"), ("canada", "Canada"), ("ca-central", "Canada"),
)  # fmt: skip
GROUPS = {"us": "United States", "eu": "Germany", "apac": "Japan"}
"""The country that stands for a part of the world where a price list names no region: its largest for data centres."""


def grid_of(region: str, group: str) -> Grid:
    """CO2 of electricity [g per kWh] at a region of a cloud; `group` is us, eu or apac, for a region not known by name.

    >>> grid_of("eu-west-1", "eu").place, grid_of("us-east-1", "us").g_per_kwh, grid_of("all regions", "apac").place
    ('Ireland', 369.5, 'Japan')
    """
    name = region.lower()
    place = next((country for start, country in PLACES if name.startswith(start)), GROUPS[group])
    mean = COUNTRIES[place]
    return Grid(place, mean, mean * SPREAD[0], mean * SPREAD[1], SOURCE)


def own_grid(g_per_kwh: float) -> Grid:
    """The user's own figure [g per kWh], taken as it is."""
    return Grid("your electricity", g_per_kwh, g_per_kwh, g_per_kwh, "as you entered it")
