"""The engine: the only folder that knows JAX, and the gate to Keras' internals."""
