"""The baseline model: words, sentence vectors and boosted trees, trained in minutes on a CPU."""
