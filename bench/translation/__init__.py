"""Encoders and decoders of sentences: any recurrence on either side, and what lies between."""
