"""What a reference cohort says of the samples and genes of a study."""
