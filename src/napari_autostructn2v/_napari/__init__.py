"""The napari plugin: layers, widgets and threads over the engine. It holds no mathematics."""
