# limma-voom with duplicateCorrelation: samples of a donor share a correlation, one for all genes.
#
# Rscript benchmarks/donors.R FOLDER
# FOLDER holds counts.csv (genes x samples), samples.csv (columns donor, group and any others) and design.csv (samples x columns,
# the effect in the last one). Writes result.csv: log_fc, p_value, adj_p_value, and cpu.txt (seconds).
folder <- commandArgs(trailingOnly = TRUE)[1]
counts <- as.matrix(read.csv(file.path(folder, "counts.csv"), row.names = 1))
samples <- read.csv(file.path(folder, "samples.csv"))
design <- as.matrix(read.csv(file.path(folder, "design.csv")))
started <- proc.time()
data <- edgeR::calcNormFactors(edgeR::DGEList(counts))
voomed <- limma::voom(data, design)
shared <- limma::duplicateCorrelation(voomed, design, block = samples$donor)$consensus.correlation
voomed <- limma::voom(data, design, block = samples$donor, correlation = shared)
shared <- limma::duplicateCorrelation(voomed, design, block = samples$donor)$consensus.correlation
fit <- limma::eBayes(limma::lmFit(voomed, design, block = samples$donor, correlation = shared))
table <- limma::topTable(fit, coef = ncol(design), number = Inf, sort.by = "none")
used <- proc.time() - started
write.csv(data.frame(log_fc = table$logFC, se = fit$stdev.unscaled[, ncol(design)] * sqrt(fit$s2.post), df = fit$df.total,
  p_value = table$P.Value, adj_p_value = table$adj.P.Val), file.path(folder, "result.csv"), row.names = FALSE)
writeLines(as.character(used[["user.self"]]), file.path(folder, "cpu.txt"))
