"""Files on a disk that may be full, shared or cut off: written beside and renamed, locked, waited for."""
