"""The napari plugin: layers, widgets and threads over the engine. It holds no mathematics."""

PLUGIN = "napari-autostructn2v"
"""The plugin's name in the manifest, by which napari knows it."""
