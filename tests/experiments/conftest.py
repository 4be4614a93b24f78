"""JAX is Keras' backend before any test of this folder imports Keras."""

from caviar.population import devices

devices.start()
