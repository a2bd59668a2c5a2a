"""The engine's own risk limits: what an order may not exceed, and what stops the engine by itself."""
