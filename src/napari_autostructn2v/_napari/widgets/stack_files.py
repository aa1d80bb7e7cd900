"""What a dialog that opens stacks lets a person choose: folders cannot be chosen among files."""

from __future__ import annotations

from napari_autostructn2v.io.formats import FORMATS

FILES = [known for known in FORMATS if not known.is_folder]
STACK_FILES = f"Stacks ({' '.join(f'*{suffix}' for known in FILES for suffix in known.patterns)})"
