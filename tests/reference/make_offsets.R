# Size factors, normalization factors and fold changes of DESeq2 beside average transcript lengths, on counts simulated
# with real differences of length: in some genes the groups use transcripts of other lengths, at an unchanged rate.
#
# Made with R 4.2.2 and DESeq2 1.38.3 by running, in this folder:
#     Rscript make_offsets.R
# The counts are simulated below, so there is no data licence.
# Writes offsets_counts.csv and offsets_lengths.csv (samples x genes), offsets_normalization_factors_<type>_deseq2_1.38.3.csv
# (samples x genes; one file for each type of size factors; 15 significant digits) and
# offsets_results_deseq2_1.38.3.csv (genes; unshrunken log2 fold change B over A and its standard error).

suppressMessages(library(DESeq2))
stopifnot(packageVersion("DESeq2") == "1.38.3")
set.seed(60450)

n_genes <- 150
group <- factor(rep(c("A", "B"), each = 4))
n_samples <- length(group)
genes <- sprintf("g%03d", 1:n_genes)
samples <- sprintf("s%d", 1:n_samples)

base_length <- exp(rnorm(n_genes, log(1500), 0.6))
scatter <- exp(matrix(rnorm(n_genes * n_samples, 0, 0.05), n_genes))
switch <- ifelse(seq_len(n_genes) <= 30, 2, 0)                   # these use transcripts four times as long in B
log2_rate <- ifelse(seq_len(n_genes) > 130, 1.5, 0)              # and these change their rate
in_b <- as.numeric(group == "B")
lengths <- round(base_length * scatter * 2^(switch %o% (in_b - 0.5)), 3)
depth <- 2^seq(-1, 1, length.out = n_samples)[c(1, 4, 6, 7, 2, 3, 5, 8)]
rate <- exp(rnorm(n_genes, 4.5, 1.5)) * 2^(log2_rate %o% (in_b - 0.5))
means <- t(t(rate * lengths / exp(rowMeans(log(lengths)))) * depth)
counts <- matrix(rnbinom(n_genes * n_samples, mu = means, size = 1 / 0.05), n_genes)
counts[31, ] <- c(0, 1, 0, 0, 1, 2, 0, 1)                        # zeros: only poscounts measures on this gene
dimnames(counts) <- dimnames(lengths) <- list(genes, samples)
storage.mode(counts) <- "integer"

dds <- DESeqDataSetFromMatrix(counts, data.frame(row.names = samples, group = group), ~ group)
assays(dds)[["avgTxLength"]] <- lengths
for (type in c("ratio", "poscounts")) {
  factors <- normalizationFactors(estimateSizeFactors(dds, type = type, quiet = TRUE))
  write.csv(format(as.data.frame(t(factors)), digits = 15), quote = FALSE,
            sprintf("offsets_normalization_factors_%s_deseq2_1.38.3.csv", type))
}
dds <- DESeq(dds, quiet = TRUE, minReplicatesForReplace = Inf)
stopifnot(is.null(sizeFactors(dds)))                             # the normalization factors were used
result <- results(dds, contrast = c("group", "B", "A"), cooksCutoff = FALSE, independentFiltering = FALSE)
write.csv(format(as.data.frame(result)[, c("baseMean", "log2FoldChange", "lfcSE", "pvalue")], digits = 15), quote = FALSE,
          "offsets_results_deseq2_1.38.3.csv")
write.csv(t(counts), "offsets_counts.csv", quote = FALSE)
write.csv(t(lengths), "offsets_lengths.csv", quote = FALSE)
