"""What engines hold beside weights and KV cache, by version, and how they report their room."""
