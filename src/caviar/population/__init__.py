"""The engine: the only folder that knows JAX and Keras' internals."""
