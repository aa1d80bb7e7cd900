"""State of a viewer's denoising. Knows neither Qt nor napari."""
