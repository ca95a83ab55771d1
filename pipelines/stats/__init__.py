"""Statistics shared by gates: intervals, paired comparison, fairness, calibration, slices, histograms."""
