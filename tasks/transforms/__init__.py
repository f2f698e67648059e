"""Named, seeded changes of a waveform: what lies between a mouth and a recogniser. Importing this registers them."""

from audiometry.tasks.transforms import channel, codecs, noise, rooms, spoof_equalisation, tempo
from audiometry.tasks.transforms.changes import CHANGES, Settings, convert, make_transform

__all__ = [
    "CHANGES",
    "Settings",
    "channel",
    "codecs",
    "convert",
    "make_transform",
    "noise",
    "rooms",
    "spoof_equalisation",
    "tempo",
]
