"""Spoken language understanding by SUPERB's recipes: intents, slots, emotions."""
