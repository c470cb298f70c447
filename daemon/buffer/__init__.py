"""The durable store of events: one writer, any number of readers (see ``ports``)."""
