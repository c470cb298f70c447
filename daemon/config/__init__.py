"""The configuration: typed models, loading with provenance, the signature of a state directory, the reference."""
