"""What costs a model performance, and which remedy is proven to help."""
