"""Errors that a user can act on: each message says what is wrong and what to do about it."""


class AutoStructN2VError(Exception):
    """Base of every error this package raises on purpose."""


class StackError(AutoStructN2VError, ValueError):
    """The array given as a stack cannot be denoised as it is."""


class KernelError(AutoStructN2VError, ValueError):
    """The kernel is not a blind spot: wrong shape, even size, no centre, or not symmetric."""


class ConfigError(AutoStructN2VError, ValueError):
    """A setting is unknown or out of range."""


class ModelError(AutoStructN2VError, ValueError):
    """A model bundle is damaged, or was made for another kind of input."""


class FileError(AutoStructN2VError, OSError):
    """A file cannot be read or written."""


class DiskFullError(FileError):
    """There is no room for a file. It can be written once there is."""


class BusyError(AutoStructN2VError, RuntimeError):
    """Another program, or another window, is writing to the same place."""


class DeviceError(AutoStructN2VError, RuntimeError):
    """The compute device asked for is not there."""


class RunFolderError(AutoStructN2VError, ValueError):
    """The run folder belongs to another input or other settings, or is damaged."""


class MissingLibraryError(AutoStructN2VError, ImportError):
    """A library that only some people need is not installed."""
