"""The paper's protocol on the real corpora: what it costs, and SUPERB's row beside it."""
