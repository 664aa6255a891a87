"""What a reference cohort says about the genes of a study."""
