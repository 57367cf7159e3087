"""The model server: TensorFlow Serving's REST, following what the registry deploys; TFX interpreter."""
