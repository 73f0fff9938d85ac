"""What others implement and what they are given: signals, interventions, metrics, batches, documents."""
