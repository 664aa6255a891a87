# Size factors of DESeq2 on a small matrix with many zeros.
#
# Made with R 4.2.2 and DESeq2 1.38.3 by running, in this folder:
#     Rscript make_size_factors.R
# The counts are simulated below, so there is no data licence.
# Writes size_factors_counts.csv (samples x genes) and size_factors_deseq2_1.38.3.csv (15 significant digits).

suppressMessages(library(DESeq2))
stopifnot(packageVersion("DESeq2") == "1.38.3")
set.seed(60450)

n_genes <- 60
n_samples <- 8
depth <- 2^seq(-2, 2, length.out = n_samples)
means <- exp(rnorm(n_genes, 2, 2))
counts <- matrix(rnbinom(n_genes * n_samples, mu = means %o% depth, size = 4), nrow = n_genes,
                 dimnames = list(sprintf("g%02d", 1:n_genes), sprintf("s%d", 1:n_samples)))
counts["g01", ] <- 0                        # no count at all: left out by both methods
counts["g02", ] <- c(0, 1, 0, 0, 1, 1, 0, 1) # geometric mean 1, log 0: poscounts keeps it
storage.mode(counts) <- "integer"

dds <- DESeqDataSetFromMatrix(counts, data.frame(row.names = colnames(counts), x = factor(1:n_samples)), ~ 1)
result <- data.frame(
  median_of_ratios = sizeFactors(estimateSizeFactors(dds, type = "ratio")),
  poscounts = sizeFactors(estimateSizeFactors(dds, type = "poscounts")),
  row.names = colnames(counts)
)
write.csv(t(counts), "size_factors_counts.csv", quote = FALSE)
write.csv(format(result, digits = 15), "size_factors_deseq2_1.38.3.csv", quote = FALSE)
