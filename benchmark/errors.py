"""Every error that Audiometry raises on purpose.

The tree::

    AudiometryError                 anything that went wrong and that we can name
    ├── UserError                   bad input: says what, where and how to mend it; the command line exits 2
    │   ├── UnknownNameError        a task, model, corpus or suite that nobody registered
    │   ├── DuplicateNameError      two plug-ins register one name
    │   ├── PluginError             a plug-in that failed to import, raised when one of its names is asked for
    │   ├── SettingError            a setting that a task or model does not take, or a value out of its range
    │   ├── DataError               a corpus that is not there, a manifest without a column, a missing file
    │   └── StoreError              a results store or output folder that cannot be read or written
    ├── AudioError                  one recording that cannot be decoded; becomes that sample's `error` status
    ├── RunInterruptedError         stopped by Ctrl-C or SIGTERM; the run folder stays readable; exit 130
    └── UnfinishedRunError          too many samples failed for the run to be a result; exit 2
"""

from __future__ import annotations

__all__ = [
    "AudioError",
    "AudiometryError",
    "DataError",
    "DuplicateNameError",
    "PluginError",
    "RunInterruptedError",
    "SettingError",
    "StoreError",
    "UnfinishedRunError",
    "UnknownNameError",
    "UserError",
]


class AudiometryError(Exception):
    """Anything that went wrong and that we can name."""

    exit_code = 2


class UserError(AudiometryError):
    """Bad input. The message is one line: what is wrong, where, and how to mend it."""


class UnknownNameError(UserError):
    """A name that nobody registered."""


class DuplicateNameError(UserError):
    """Two registrations of one name."""


class PluginError(UserError):
    """A plug-in that failed to import."""


class SettingError(UserError):
    """A setting that is not taken, is missing, or is out of range."""


class DataError(UserError):
    """A corpus, manifest or file that is missing or malformed."""


class StoreError(UserError):
    """A results store or run folder that cannot be read or written."""


class AudioError(AudiometryError):
    """One recording that cannot be decoded."""


class RunInterruptedError(AudiometryError):
    """The run was stopped from outside; what was finished is on disk."""

    exit_code = 130


class UnfinishedRunError(AudiometryError):
    """More samples failed than the run allows."""
