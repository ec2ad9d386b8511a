"""From the name of a processor, as an operating system or a cloud states it, to how fast its cores are."""

from __future__ import annotations

import re

from sizing.cpu import CPU_SPEEDS, UNKNOWN_CPU, CpuSpeed

HOST_SPEED = CpuSpeed(1.0, 0.90, 1.12, "the measured host")
"""The host of the catalog's measurements: 1 by definition; the range is what its timings differ by from day to day."""

# First match counts. On the right, the word that sizing.cpu.CPU_SPEEDS has for the generation. The numbers of parts are
# recalled from the makers' and clouds' lists, 2026-11. A hypervisor that says "AMD EPYC" and no more is the measured host's.
GENERATIONS: tuple[tuple[str, str | None], ...] = (
    (r"family 23 model 1\b", None), (r"^amd epyc( processor)?$", None), (r"epyc 7\d\d1\b", None),
    (r"family 26|zen ?5|turin|epyc 9\w\d5\b|epyc 9r45", "Turin"),
    (r"zen ?4|genoa|bergamo|epyc 9\w\d4\b|epyc 9r14|family 25 model (1[0-9]|9[0-9]|1[0-9][0-9])\b", "Genoa"),
    (r"zen ?3|milan|epyc 7\w\d3\b|epyc 7r13|family 25", "Milan"),
    (r"zen ?2|rome|epyc 7\w\d2\b|epyc 7r32|family 23 model (49|0?x31)", "Rome/Milan"),
    (r"granite|xeon.* 6\d{3}p\b", "Granite"), (r"emerald|platinum 85\d\d|8559c", "Emerald"),
    (r"sapphire|platinum 84\d\d|8488c|8481c|8473c", "Sapphire"),
    (r"ice lake|platinum 83\d\d|8375c|8370c|8352", "Ice Lake"),
    (r"cascade|platinum 82\d\d|8259cl|8272cl", "Cascade Lake"), (r"skylake|platinum 81\d\d|8175m|8171m", "Skylake"),
    (r"graviton ?4|neoverse-v2", "Neoverse-V2"), (r"axion", "Axion"), (r"graviton ?3|neoverse-v1", "Neoverse-V1"),
    (r"graviton ?2|neoverse-n1|altra", "Neoverse-N1"),
)  # fmt: skip


def speed_of(name: str) -> CpuSpeed:
    """Time factor [1] of a processor of this name against the measured host, with its 80 % interval; wide if not known.

    >>> speed_of("AMD EPYC 9R14").core, speed_of("AMD EPYC").factor, speed_of("abacus").core
    ('Zen 4', 1.0, 'not known')
    """
    said = " ".join(name.lower().replace("(r)", " ").replace("(tm)", " ").split())
    for pattern, word in GENERATIONS:
        if re.search(pattern, said):
            return HOST_SPEED if word is None else dict(CPU_SPEEDS)[word]
    return UNKNOWN_CPU
