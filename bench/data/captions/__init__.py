"""Images and the captions that people wrote for them."""
