"""What everything stands on: errors, options, files, keys, states, counter-based noise. Knows no model."""
