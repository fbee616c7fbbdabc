"""Files in and out: labels, recordings, synthetic samples and labelled videos."""
