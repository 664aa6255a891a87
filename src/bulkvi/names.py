"""Every AnnData key and table column that bulkvi writes, named once.

Log fold changes are in log base 2, rates and means are counts per unit size factor (and relative offset).
"""

from typing import Final

# obs
SIZE_FACTOR: Final = "size_factor"
"""``obs``: size factor of a sample (relative sequencing depth, unitless, > 0)."""

# var
LOG_GEOMETRIC_MEAN: Final = "log_geometric_mean"
"""``var``: natural log of the geometric mean count that size factors are measured against; -inf leaves a gene out."""

LOG_GEOMETRIC_MEAN_PER_OFFSET: Final = "log_geometric_mean_per_offset"
"""``var``: the same, of count / offset in the offset's unit, where size factors were estimated with an offset."""

OFFSET: Final = "offset"
"""Registry and minibatches: factors of the single counts, such as average transcript lengths, samples x genes, > 0, any unit."""

N_COUNTS: Final = "n_counts"
"""``var``: counts of a gene over all samples, before genes were filtered."""

N_SAMPLES: Final = "n_samples"
"""``var``: number of samples with at least one count of a gene, before genes were filtered."""

SYMBOL: Final = "symbol"
"""``var`` and tables: gene symbol; the gene id where none is known."""

# layers
LENGTH: Final = "length"
"""``layers``: average length of a gene's transcripts in a sample, from Salmon, kallisto, RSEM or a table (bases)."""

# uns
COUNTS_SOURCE: Final = "counts_source"
"""``uns``: where :func:`bulkvi.io.read_counts` found the counts, and how it read them."""

REPLICATES: Final = "replicates"
"""``uns``: the library of each sample whose counts :func:`bulkvi.pp.sum_replicates` added up."""

SIZE_FACTOR_SOURCE: Final = "size_factor_source"
"""``uns``: how :func:`bulkvi.pp.size_factors` estimated each column of size factors, as a dict by column."""

# obsm
LATENT: Final = "X_bulkvi"
"""``obsm``: latent state in principal axes of the decoded log2 rates, samples x axes; distances are log2 fold changes."""

DESIGN: Final = "_bulkvi_design"
"""``obsm``: design matrix registered by ``setup_anndata`` (samples x columns, intercept left out)."""

# columns of the table of differential expression
GENE_ID: Final = "gene_id"
"""Name of the gene index in tables that are written to a file."""

BASE_MEAN: Final = "base_mean"
"""Mean over the samples of count / size factor (/ relative offset, where there is one)."""

LOG_FC: Final = "log_fc"
"""Posterior mean of the effect, shrunk towards zero by the prior learned from all genes; log2."""

LOG_FC_SD: Final = "log_fc_sd"
"""Posterior standard deviation of the effect; log2."""

LOG_FC_LOW: Final = "log_fc_low"
"""Lower end of the credible interval of the effect; log2."""

LOG_FC_HIGH: Final = "log_fc_high"
"""Upper end of the credible interval of the effect; log2."""

LOG_FC_MLE: Final = "log_fc_mle"
"""The effect without shrinkage, averaged over the dispersion; log2."""

LOG_FC_SE: Final = "log_fc_se"
"""Standard error of ``log_fc_mle``, the uncertainty of the dispersion included; log2."""

LOG_FC_DECODED: Final = "log_fc_decoded"
"""Difference of the log2 rates that the decoder gives to the two groups, group1 over group2."""

STAT: Final = "stat"
"""Normal quantile of the p-value with the sign of ``log_fc_mle`` (unitless)."""

P_VALUE: Final = "p_value"
"""Two-sided p-value of no effect, the dispersion integrated out."""

ADJ_P_VALUE: Final = "adj_p_value"
"""``p_value`` adjusted by Benjamini-Hochberg: call genes on this column."""

LFSR: Final = "lfsr"
"""Local false sign rate: posterior probability that the sign of ``log_fc`` is wrong."""

S_VALUE: Final = "s_value"
"""Expected share of wrong signs among this gene and all genes with a smaller ``lfsr``."""

PROB_EFFECT: Final = "prob_effect"
"""Posterior probability that the absolute effect is larger than ``delta``."""

DISPERSION: Final = "dispersion"
"""Posterior dispersion alpha in variance = mean + alpha mean^2 (unitless; exp of the mean log dispersion)."""

DISPERSION_GENE: Final = "dispersion_gene"
"""Dispersion that the gene's own counts alone are most likely under (unitless)."""

DISPERSION_TREND: Final = "dispersion_trend"
"""Dispersion expected at the gene's mean, learned from all genes (unitless)."""

FLAG: Final = "flag"
"""Reason codes of genes whose result needs caution, joined by commas; empty where there is none."""

CONTRAST: Final = "contrast"
"""Description of the comparison: ``"<column>: <group1> vs <group2>"``."""

COMPOSITION_SHIFT: Final = "composition_shift"
"""``attrs`` of the table: the log2 shift that was subtracted from all its effects; 0 where none was."""

COMPOSITION_SHIFT_SEEN: Final = "composition_shift_seen"
"""``attrs`` of the table: log2 place where most direct effects lie before any shift; 0 without strong evidence of one."""

SIZE_FACTORS: Final = "size_factors"
"""``attrs`` of the table: the size factors' origin as plain values: ``method``, ``n_control_genes``, ``reference``."""

NULL_SHARE: Final = "null_share"
"""``attrs`` of the table: share of the genes' prior that is exactly no effect."""

INDEPENDENT_GENES: Final = "independent_genes"
"""``attrs`` of the table: independent genes that all genes are worth, their shared noise considered. A few: ``s_value`` is cautious."""

QUERY: Final = "query"
"""``attrs`` of the table: the arguments of ``differential_expression`` that gave it, defaults resolved, as plain values."""

EFFECT_COLUMNS: Final = (
    BASE_MEAN,
    LOG_FC,
    LOG_FC_SD,
    LOG_FC_LOW,
    LOG_FC_HIGH,
    LOG_FC_MLE,
    LOG_FC_SE,
    LOG_FC_DECODED,
    STAT,
    P_VALUE,
    ADJ_P_VALUE,
    LFSR,
    S_VALUE,
    PROB_EFFECT,
    DISPERSION,
    FLAG,
    CONTRAST,
)
"""Columns of the table of differential expression, in order; tables of other methods have the same."""

# reason codes of the column ``flag``
LOW_INFORMATION: Final = "low_information"
"""Too few counts: ``log_fc_se`` is above 2 (log2); of a measurement, for a change of it by two standard deviations."""

OUTLIER: Final = "outlier"
"""At least one count of the gene is more likely outlying than not."""

NOT_CONVERGED: Final = "not_converged"
"""The fit did not reach its optimum: do not trust the row."""

SEPARATED: Final = "separated"
"""No count on one side of the comparison: the size of the effect is the prior's, its sign the data's."""

CONSTANT: Final = "constant"
"""The same count in every sample, such as zero."""

# columns of the table of outlying counts
SAMPLE: Final = "sample"
"""Name of a sample."""

COUNT: Final = "count"
"""A raw count."""

EXPECTED_COUNT: Final = "expected_count"
"""The count expected of a sample by the fit without the outlying counts."""

# columns of the table of an omnibus test
DF: Final = "df"
"""Degrees of freedom of ``stat``."""

# latent columns
LATENT_COLUMN: Final = "latent"
"""Prefix of the columns ``latent_0``, ... that the latent state adds to the features of the regressions."""

N_LATENT_COLUMNS: Final = "n_latent_columns"
"""``attrs`` of the table: number of latent columns in the regressions."""

DESIGN_ALONE: Final = "design_alone"
"""``attrs`` of the table: part that the regression on the design alone has in it, beside the one with latent columns."""

STRUCTURED_SAMPLES: Final = "structured_samples"
"""``attrs`` of the table of outliers: samples that deviate in so many genes that it is no chance."""

UNJUDGED_SAMPLES: Final = "unjudged_samples"
"""``attrs`` of the table of outliers: samples with too few similar ones to be judged."""

NULL_VARIANCE: Final = "null_variance"
"""``attrs`` of the table: variance of the statistics of unchanged genes, in squared standard errors; 1 unless learned."""

# columns of the report on the latent state
SINGULAR_VALUE: Final = "singular_value"
"""Singular value of the standardised residuals of the design."""

SINGULAR_VALUE_BY_CHANCE: Final = "singular_value_by_chance"
"""Singular value that independent genes would give, with a margin."""

ENTERS: Final = "enters"
"""Whether comparisons use a latent column."""

INFORMATION: Final = "information"
"""Expected information about a contrast given this latent column and those before it, relative to none of them."""

VARIANCE_SHARE: Final = "variance_share"
"""Share of the residuals' variance."""

STRONGEST_WITH: Final = "strongest_with"
"""Column of ``obs`` that explains most of a latent column; empty if none explains any."""

STRENGTH: Final = "strength"
"""Share of the latent column's variance that it explains (adjusted R^2)."""

# columns of a table of rates by group, or along a covariate
COVARIATE: Final = "covariate"
"""Value of a numeric column of ``obs``, in the unit of that column."""

RATE: Final = "rate"
"""Expected count per unit size factor in a group."""

RATE_LOW: Final = "rate_low"
"""Lower end of its credible interval."""

RATE_HIGH: Final = "rate_high"
"""Upper end of its credible interval."""

# columns of the table of sample checks
LABEL: Final = "label"
"""The label of a sample in ``obs``."""

LIKELY_LABEL: Final = "likely_label"
"""The label of highest posterior probability."""

PROB_LABEL: Final = "prob_label"
"""Posterior probability of the label of a sample in ``obs``; with ``_<label>`` appended, that of each label."""

SWAPPED_WITH: Final = "swapped_with"
"""Samples that a sample may have been exchanged with, joined by commas; empty where there is none."""

FIT: Final = "fit"
"""Log density of a sample as all others predict it, mean over the genes (natural log); with ``_<label>`` under each label."""

FIT_DEVIATION: Final = "fit_deviation"
"""Log noise of a sample under the likely label against that of the others: robust standard deviations; below 0 is noisier."""

SEX: Final = "sex"
"""``female``, ``male``, ``both`` or ``unclear``, from the counts of genes that differ between the sexes."""

PROB_MEANINGLESS: Final = "prob_meaningless"
"""``attrs`` of the table: posterior probability that the labels are unrelated to the counts."""

OUTLYING_BELOW: Final = "outlying_below"
"""``attrs`` of the table: ``fit_deviation`` below which a sample is outlying."""

SEX_KEY: Final = "sex_key"
"""``attrs`` of the table: the column of ``obs`` with the sex, or None."""

SEX_GENES: Final = "sex_genes"
"""``attrs`` of the table: the genes that determine ``sex``."""

SEX_REMARK: Final = "sex_remark"
"""``attrs`` of the table: why the sex could not be determined; empty otherwise."""

# reason codes of samples, in the column ``flag``
SWAPPED: Final = "swapped"
"""The label is wrong: its posterior probability is below 0.05, and some labels are wrong with one above 0.93."""

DOUBTFUL: Final = "doubtful"
"""Some labels are wrong, and this one may be among them."""

OUTLYING: Final = "outlying"
"""The sample is an outlier whichever group it is assigned to."""

SEX_MISMATCH: Final = "sex_mismatch"
"""The genes indicate another sex than the table of samples, or both sexes."""

NOT_CHECKED: Final = "not_checked"
"""No other sample to compare with: the only one of its label, or of a level of the design."""

# obs and tables
STRATUM: Final = "stratum"
"""Levels of the columns within which rates are given, joined by a comma."""

WITHIN: Final = "within"
"""Key of ``attrs``: those columns."""

GROUP: Final = "group"
"""A group of samples; in ``obs`` of simulated cohorts categorical with levels A and B."""

BATCH: Final = "batch"
"""``obs``: the known batch of a simulated sample, categorical with levels b1, b2, ..."""
