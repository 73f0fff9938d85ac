"""What plugin authors test with: conformance classes, planted models and batches."""
