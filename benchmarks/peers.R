# Differential expression of many data sets by DESeq2, edgeR QL and limma-voom, in one R process.
#
#   Rscript peers.R FOLDER METHODS [DATA_SET ...]
#
# FOLDER/<data set>/counts.bin    int32, little-endian, genes x samples, gene index fastest
# FOLDER/<data set>/samples.tsv   one row a sample, column "group" (0 or 1); further columns are covariates, numeric or factors
# METHODS                         comma-separated: deseq2, deseq2_shrink, edger_ql, voom; "+sva" after a name adds surrogate
#                                 variables (svaseq) to its design; "versions" alone only writes FOLDER/versions.tsv
# DATA_SET ...                    names of the data sets; all subfolders if none is given
#
# For each data set and method: <method>.bin, float64, genes x 7, gene index fastest, columns
#   log_fc, log_fc_se, stat, df, p_value, adj_p_value, base_mean
# (log base 2, group 1 over group 0; NA where the method gives none), and one line in <data set>/runs.tsv:
#   method, cpu_seconds (user + system of everything from the counts to the table), n_surrogate, error (empty if none).
# FOLDER/versions.tsv names R and the packages.
#
# Settings are the packages' defaults: DESeq2's Wald test with independent filtering (alpha 0.1) and Cook's distances,
# edgeR and voom after filterByExpr and TMM.

peer_packages <- c(deseq2 = "DESeq2", deseq2_shrink = "DESeq2", edger_ql = "edgeR", voom = "limma")

read_data_set <- function(folder) {
  samples <- read.delim(file.path(folder, "samples.tsv"), stringsAsFactors = TRUE)
  samples$group <- factor(samples$group, levels = c(0, 1))
  size <- file.size(file.path(folder, "counts.bin")) / 4
  values <- readBin(file.path(folder, "counts.bin"), "integer", size, size = 4, endian = "little")
  n_genes <- size / nrow(samples)
  counts <- matrix(values, n_genes, nrow(samples),
                   dimnames = list(paste0("g", seq_len(n_genes)), paste0("s", seq_len(nrow(samples)))))
  rownames(samples) <- colnames(counts)
  list(counts = counts, samples = samples, fits = new.env())
}

# the group is the last term, so that its coefficient is the last column of every design matrix
design_of <- function(samples) {
  covariates <- setdiff(names(samples), "group")
  as.formula(paste("~", paste(c(covariates, "group"), collapse = " + ")))
}

# the surrogates are shared by the methods of a data set; their seconds count for each
add_surrogates <- function(data) {
  if (is.null(data$fits$surrogates)) {
    before <- proc.time()
    found <- find_surrogates(data)
    data$fits$surrogates <- list(found = found, seconds = seconds_since(before))
    data$saved <- 0
  } else {
    data$saved <- data$fits$surrogates$seconds
  }
  found <- data$fits$surrogates$found
  data$n_surrogate <- if (is.null(found)) 0 else ncol(found)
  if (data$n_surrogate > 0) data$samples <- cbind(found, data$samples)
  data
}

find_surrogates <- function(data) {
  with_group <- model.matrix(design_of(data$samples), data$samples)
  without <- with_group[, -ncol(with_group), drop = FALSE]
  expressed <- rowMeans(data$counts) > 1
  set.seed(1)  # num.sv permutes
  scaled <- t(t(data$counts[expressed, ]) / DESeq2::estimateSizeFactorsForMatrix(data$counts))
  n <- sva::num.sv(log(scaled + 1), with_group, method = "be")
  if (n == 0) return(NULL)
  invisible(capture.output(found <- sva::svaseq(scaled, with_group, without, n.sv = n)$sv))
  found <- as.data.frame(found)
  names(found) <- paste0("surrogate", seq_len(n))
  found
}

seconds_since <- function(before) sum((proc.time() - before)[c("user.self", "sys.self")])

empty_table <- function(counts) {
  columns <- c("log_fc", "log_fc_se", "stat", "df", "p_value", "adj_p_value", "base_mean")
  matrix(NA_real_, nrow(counts), length(columns), dimnames = list(rownames(counts), columns))
}

# the fit is shared by "deseq2" and "deseq2_shrink" of one design; its seconds count for both
fit_deseq2 <- function(data) {
  key <- paste(names(data$samples), collapse = " ")
  if (is.null(data$fits[[key]])) {
    before <- proc.time()
    fit <- suppressMessages({
      object <- DESeq2::DESeqDataSetFromMatrix(data$counts, data$samples, design_of(data$samples))
      DESeq2::DESeq(object, quiet = TRUE)
    })
    data$fits[[key]] <- list(fit = fit, seconds = seconds_since(before))
    return(list(fit = fit, saved = 0))
  }
  list(fit = data$fits[[key]]$fit, saved = data$fits[[key]]$seconds)
}

run_deseq2 <- function(data, shrink) {
  done <- fit_deseq2(data)
  coefficient <- utils::tail(DESeq2::resultsNames(done$fit), 1)
  found <- DESeq2::results(done$fit, name = coefficient)
  if (shrink) {
    found <- suppressMessages(DESeq2::lfcShrink(done$fit, coef = coefficient, res = found, type = "normal", quiet = TRUE))
  }
  table <- empty_table(data$counts)
  table[, c("log_fc", "log_fc_se", "stat", "p_value", "adj_p_value", "base_mean")] <-
    as.matrix(found[, c("log2FoldChange", "lfcSE", "stat", "pvalue", "padj", "baseMean")])
  structure(table, saved = done$saved)
}

filtered <- function(data) {
  dge <- edgeR::DGEList(data$counts)
  keep <- edgeR::filterByExpr(dge, design = model.matrix(design_of(data$samples), data$samples))
  edgeR::calcNormFactors(dge[keep, , keep.lib.sizes = FALSE])
}

run_edger_ql <- function(data) {
  design <- model.matrix(design_of(data$samples), data$samples)
  dge <- edgeR::estimateDisp(filtered(data), design)
  fit <- edgeR::glmQLFit(dge, design)
  test <- edgeR::glmQLFTest(fit, coef = ncol(design))
  table <- empty_table(data$counts)
  rows <- rownames(test$table)
  table[rows, "log_fc"] <- test$table$logFC
  table[rows, "stat"] <- sign(test$table$logFC) * sqrt(test$table$F)
  table[rows, "df"] <- test$df.total
  table[rows, "p_value"] <- test$table$PValue
  table[rows, "adj_p_value"] <- p.adjust(test$table$PValue, "BH")
  table
}

run_voom <- function(data) {
  design <- model.matrix(design_of(data$samples), data$samples)
  fit <- limma::eBayes(limma::lmFit(limma::voom(filtered(data), design), design))
  last <- ncol(design)
  table <- empty_table(data$counts)
  rows <- rownames(fit)
  table[rows, "log_fc"] <- fit$coefficients[, last]
  table[rows, "log_fc_se"] <- fit$stdev.unscaled[, last] * sqrt(fit$s2.post)
  table[rows, "stat"] <- fit$t[, last]
  table[rows, "df"] <- fit$df.total
  table[rows, "p_value"] <- fit$p.value[, last]
  table[rows, "adj_p_value"] <- p.adjust(fit$p.value[, last], "BH")
  table
}

run_one <- function(method, data) {
  parts <- strsplit(method, "+", fixed = TRUE)[[1]]
  if (length(parts) == 2) {
    if (parts[2] != "sva") stop("unknown option +", parts[2], "; known: +sva")
    data <- add_surrogates(data)
  }
  table <- switch(parts[1],
    deseq2 = run_deseq2(data, shrink = FALSE),
    deseq2_shrink = run_deseq2(data, shrink = TRUE),
    edger_ql = run_edger_ql(data),
    voom = run_voom(data),
    stop("unknown method ", parts[1], "; known: ", paste(names(peer_packages), collapse = ", ")))
  saved <- attr(table, "saved")
  list(table = table, saved = (if (is.null(saved)) 0 else saved) + (if (is.null(data$saved)) 0 else data$saved),
       n_surrogate = if (is.null(data$n_surrogate)) 0 else data$n_surrogate)
}

write_versions <- function(folder) {
  packages <- c("DESeq2", "edgeR", "limma", "sva")
  versions <- vapply(packages, function(name) {
    tryCatch(as.character(utils::packageVersion(name)), error = function(e) "absent")
  }, "")
  lines <- c(paste("R", paste(R.version$major, R.version$minor, sep = "."), sep = "\t"), paste(packages, versions, sep = "\t"))
  writeLines(lines, file.path(folder, "versions.tsv"))
}

main <- function(arguments) {
  if (length(arguments) < 2) stop("usage: Rscript peers.R FOLDER METHODS [DATA_SET ...]")
  folder <- arguments[1]
  write_versions(folder)
  methods <- strsplit(arguments[2], ",", fixed = TRUE)[[1]]
  if (identical(methods, "versions")) return(invisible())
  # loaded before the clock runs: the cost of a method is its arithmetic
  needed <- peer_packages[sub("+sva", "", methods, fixed = TRUE)]
  if (any(grepl("edger|voom", methods))) needed <- c(needed, "edgeR")
  if (any(grepl("+sva", methods, fixed = TRUE))) needed <- c(needed, "sva", "DESeq2")
  for (name in unique(stats::na.omit(needed))) suppressPackageStartupMessages(library(name, character.only = TRUE))

  names <- arguments[-(1:2)]
  if (length(names) == 0) names <- list.dirs(folder, full.names = FALSE, recursive = FALSE)
  for (name in names) {
    here <- file.path(folder, name)
    data <- read_data_set(here)
    runs <- file.path(here, "runs.tsv")
    writeLines("method\tcpu_seconds\tn_surrogate\terror", runs)
    for (method in methods) {
      before <- proc.time()
      result <- tryCatch(run_one(method, data), error = function(e) gsub("[\t\n]+", " ", conditionMessage(e)))
      answered <- is.list(result)
      seconds <- seconds_since(before) + if (answered) result$saved else 0
      if (answered) writeBin(as.vector(result$table), file.path(here, paste0(method, ".bin")), endian = "little")
      cat(paste(c(method, format(seconds), if (answered) c(result$n_surrogate, "") else c(0, result)), collapse = "\t"), "\n",
          sep = "", file = runs, append = TRUE)
    }
    cat(name, "done\n")
    flush(stdout())
  }
}

main(commandArgs(trailingOnly = TRUE))
