"""Configuration of the documentation; https://www.sphinx-doc.org/en/master/usage/configuration.html lists the options."""

import os
import shutil
import sys
from importlib.metadata import metadata
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "extensions"))

# Tutorials lie at the top of the repository, and Sphinx reads nothing outside its folder.
for notebook in sorted((HERE.parent / "tutorials").glob("*.ipynb")):
    shutil.copy2(notebook, HERE / "tutorials")

info = metadata("bulkvi")
urls = dict(entry.split(", ") for entry in info.get_all("Project-URL") or [])
project = info["Name"]
author = info["Author"]
copyright = f"2026, {author}"
version = release = info["Version"]

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinxcontrib.bibtex",
    "prose_sections",
]
exclude_patterns = ["_build", "**.ipynb_checkpoints", "benchmarks/*"]
templates_path = ["_templates"]
bibtex_bibfiles = ["references.bib"]
bibtex_reference_style = "author_year"

# The build needs no network. Where there is one for sure, names of other packages become links.
if os.environ.get("READTHEDOCS") == "True":
    extensions.append("sphinx.ext.intersphinx")
intersphinx_mapping = {
    "anndata": ("https://anndata.readthedocs.io/en/stable/", None),
    "matplotlib": ("https://matplotlib.org/stable/", None),
    "numpy": ("https://numpy.org/doc/stable/", None),
    "pandas": ("https://pandas.pydata.org/docs/", None),
    "python": ("https://docs.python.org/3", None),
    "scanpy": ("https://scanpy.readthedocs.io/en/stable/", None),
    "scipy": ("https://docs.scipy.org/doc/scipy/", None),
    "scvi": ("https://docs.scvi-tools.org/en/stable/", None),
    "torch": ("https://docs.pytorch.org/docs/stable/", None),
}

# A name of ours that leads nowhere is an error; names of others are checked by nobody offline.
nitpicky = True
# what pl asks of a report or a comparison, and tl of a model, so that they need neither model nor tl
nitpick_ignore = [
    ("py:class", "bulkvi.pl._calibration.Calibration"),
    ("py:class", "bulkvi.pl._compare.Compared"),
    ("py:class", "bulkvi.pl._outliers.OutlierScores"),
    ("py:class", "bulkvi.pp._size_factors.MeasuredReference"),
    ("py:class", "bulkvi.model._reference.CohortReference"),
    ("py:class", "bulkvi.tl._power.FittedModel"),
]
# private types: results are described where they are returned
nitpick_ignore_regex = [(r"py:.*", r"(?!bulkvi\b).*"), (r"py:class", r"bulkvi\.(stats|study|regression|reference)\..*")]

default_role = "literal"
autosummary_generate = True
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_rtype = True
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"

myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
# Notebooks written as text are run at every build; those with stored outputs are shown as they are.
nb_execution_mode = "auto"
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_output_stderr = "remove"
nb_merge_streams = True

html_theme = "sphinx_book_theme"
html_title = project
html_static_path = ["_static"]
html_css_files = ["css/custom.css"]
html_theme_options = {
    "repository_url": urls["Source"],
    "use_repository_button": True,
    "path_to_docs": "docs/",
    "navigation_with_keys": False,
}
