"""Statistics: intervals, paired comparison, fairness, calibration, slices, histograms, distances."""
