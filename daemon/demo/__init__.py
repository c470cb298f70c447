"""``retaind demo``: a simulator of business events, and the story of the real daemon that learns from them."""
