"""Calls in a formula: columns, numbers, texts, arithmetic, and the transforms listed here."""

import ast
from typing import Any, Final

from formulaic.parser import DefaultFormulaParser
from formulaic.parser.types import ASTNode

from bulkvi.study.formula_names import Names, brief, hint

NUMPY: Final = frozenset(
    "abs absolute arccos arccosh arcsin arcsinh arctan arctanh cbrt ceil clip cos cosh exp exp2 expm1 floor log log10 log1p "
    "log2 maximum minimum power reciprocal rint round sign sin sinh sqrt square tan tanh trunc where".split()
)
"""Functions that may be called as ``np.log``, element by element."""
BARE: Final = {name: name for name in "abs exp exp2 expm1 log log10 log1p log2 sqrt".split()}
"""Those that need no ``np``."""
SLOPE: Final = "slope"
"""Marks the numbers of a column as measurements."""
COLUMN: Final = "column"
"""The same of a column of a design matrix."""
CODED: Final = frozenset({"C", "hashed"})
"""Transforms whose first argument is a category whatever its values."""
TRANSFORMS: Final = CODED | frozenset("I bs cc center cr cs poly scale standardize".split())
BASES: Final = frozenset("bs cc cr cs hashed".split())
SIZED: Final = BASES | {"poly"}
"""Transforms whose number of columns is an argument."""
BOUNDS: Final = ("lower_bound", "upper_bound")
CODINGS: Final = frozenset("SAS custom diff helmert poly sum treatment".split())
"""Codings after ``contr.``"""
PATSY_CODINGS: Final = frozenset("Diff Helmert Poly Sum Treatment".split())
KEYWORDS: Final = frozenset(
    "backward base center constraints contrasts ddof degree df drop extrapolation include_intercept knots levels lower_bound raw "
    "reference rescale reverse scale scores spans_intercept upper_bound".split()
)
OPERATIONS: Final = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.BitAnd, ast.BitOr)
SIGNS: Final = (ast.UAdd, ast.USub, ast.Invert)
COMPARISONS: Final = (ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq)
MAX_SETTING: Final = 1_000
MAX_DEGREE: Final = 20
MAX_NUMBER: Final = 2**53
LISTED: Final = (
    "C, I, slope, bs, cr, cc, cs, poly, scale, center, standardize, hashed, log, log2, log10, log1p, exp, exp2, exp10, expm1, sqrt, "
    "abs, and np.<function> of numbers"
)


def rewrite_call(text: str, names: Names) -> str:
    """Check the Python code of a formula, and replace columns, texts and functions in it by words.

    Raise KeyError for an unknown column, SyntaxError if it is not an expression, and ValueError for anything that this file does
    not list.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (MemoryError, ValueError) as error:
        raise SyntaxError(str(error)) from error
    rewritten = ast.unparse(_Rewriter(names).value(tree))
    names.shown[rewritten] = names.restored(ast.unparse(tree))
    if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and tree.func.id in (SLOPE, COLUMN):
        names.shown[rewritten] = names.uses[rewritten].column
    return rewritten


class _Rewriter:
    def __init__(self, names: Names):
        self.names = names

    def value(self, node: ast.expr) -> ast.expr:
        """Rewrite an expression over columns."""
        if isinstance(node, ast.Constant):
            return self._constant(node)
        if isinstance(node, ast.Name) and node.id in self.names.texts:
            return node
        if isinstance(node, ast.Name | ast.Attribute):
            return self._column(node, "number")
        if isinstance(node, ast.BinOp) and isinstance(node.op, OPERATIONS):
            left, right = self.value(node.left), self.value(node.right)
            if isinstance(node.op, ast.Pow | ast.Mult) and not (self._reads(left) or self._reads(right)):
                raise self._refused(node, "numbers by themselves are not calculated here; write the result")
            return ast.BinOp(left, node.op, right)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, SIGNS):
            return ast.UnaryOp(node.op, self.value(node.operand))
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and isinstance(node.ops[0], COMPARISONS):
            return ast.Compare(self.value(node.left), node.ops, [self.value(node.comparators[0])])
        if isinstance(node, ast.Call):
            return self._call(node)
        raise self._refused(node, "that is no part of a formula")

    def _call(self, node: ast.Call) -> ast.expr:
        name = ast.unparse(node.func) if isinstance(node.func, ast.Name | ast.Attribute) else ""
        library, _, function = name.rpartition(".")
        if name in (SLOPE, COLUMN) and len(node.args) == 1 and not node.keywords:
            return self._column(node.args[0], "number")
        if name == "exp10" and len(node.args) == 1 and not node.keywords:  # formulaic's is the tenth power
            call: ast.expr = ast.BinOp(ast.Constant(10.0), ast.Pow(), self.value(node.args[0]))
        elif (library in ("np", "numpy") and function in NUMPY) or name in BARE:
            if node.keywords or not 1 <= len(node.args) <= 3:
                raise self._refused(node, "it takes one to three values and no settings")
            call = _called(f"np.{function}", [self.value(argument) for argument in node.args], [])
        elif name in TRANSFORMS and node.args:
            data = self._column(node.args[0], "category") if self._is_coded(name, node) else self.value(node.args[0])
            call = _called(name, [data, *map(self._setting, node.args[1:])], self._keywords(node, name))
            self._check_size(node, name)
        elif name == "Q" and len(node.args) == 1 and not node.keywords:
            return self._column(self._as_quoted(node.args[0]), "number")
        else:
            raise self._refused(
                node.func,
                f"formulas take the transforms {LISTED}. For another one make a column of its result, "
                "adata.obs['name'] = function(adata.obs['x']), and write its name",
            )
        self.names.shown[ast.unparse(call)] = self.names.restored(ast.unparse(node))
        return call

    def _is_coded(self, name: str, node: ast.Call) -> bool:
        return name in CODED and isinstance(node.args[0], ast.Name | ast.Attribute)

    def _as_quoted(self, node: ast.expr) -> ast.expr:
        if isinstance(node, ast.Name) and node.id in self.names.texts:
            return ast.Name(self.names.quoted_column(self.names.texts[node.id]))
        raise self._refused(node, "Q takes the name of a column in quotes; backticks do the same")

    def _column(self, node: ast.expr, role: str) -> ast.expr:
        word = ast.unparse(node)
        if isinstance(node, ast.Attribute) and self.names.find(word) is None:
            if word in ("np.pi", "np.e", "numpy.pi", "numpy.e"):
                return ast.parse(word.replace("numpy", "np"), mode="eval").body
            raise self._refused(node, "a dot is allowed in a column's name, in backticks, and in np.log and the like")
        if not isinstance(node, ast.Name | ast.Attribute):
            raise self._refused(node, "the name of a column is wanted here")
        return ast.Name(self.names.use(self.names.column(word), role))

    def _setting(self, node: ast.expr) -> ast.expr:
        """Check an argument that is no column: a number, a text, a list of them, a coding."""
        if isinstance(node, ast.Constant):
            return self._constant(node)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
            return ast.UnaryOp(node.op, self._constant(node.operand))
        if isinstance(node, ast.Name) and (node.id in self.names.texts or node.id in PATSY_CODINGS):
            return node
        if isinstance(node, ast.List | ast.Tuple) and len(node.elts) <= MAX_SETTING:
            return type(node)([self._setting(item) for item in node.elts], ast.Load())
        if isinstance(node, ast.Dict) and len(node.keys) <= MAX_SETTING and None not in node.keys:
            return ast.Dict(
                [self._setting(key) for key in node.keys if key], [self._setting(item) for item in node.values]
            )
        called = node.func if isinstance(node, ast.Call) else node
        name = ast.unparse(called) if isinstance(called, ast.Name | ast.Attribute) else ""
        if name in PATSY_CODINGS or name.removeprefix("contr.") in CODINGS and name.startswith("contr."):
            if not isinstance(node, ast.Call):
                return node
            return _called(name, [self._setting(item) for item in node.args], self._keywords(node, name))
        raise self._refused(node, "a setting is a number, a text, a list of them, or a coding such as contr.sum")

    def _keywords(self, node: ast.Call, name: str) -> list[ast.keyword]:
        for given in node.keywords:
            if given.arg not in KEYWORDS:
                raise self._refused(node, f"{name} has no setting {given.arg or '**'!r} here")
        return [ast.keyword(given.arg, self._setting(given.value)) for given in node.keywords]

    def _check_size(self, node: ast.Call, name: str) -> None:
        """Raise ValueError if a basis would have too many columns to be of use, or to be computed."""
        if name in BASES and len(node.args) > 2:
            raise self._refused(node, "settings after the second one are given by name, as in degree=2")
        settings = [("", argument) for argument in node.args[1:2]] + [(word.arg, word.value) for word in node.keywords]
        for word, value in settings:
            limit = MAX_DEGREE if word == "degree" or (name == "poly" and not word) else MAX_SETTING
            number = value.value if isinstance(value, ast.Constant) else None
            if name in SIZED and word not in BOUNDS and type(number) is int and number > limit:
                raise self._refused(node, f"{number} is more than {limit}")

    def _constant(self, node: ast.Constant) -> ast.Constant:
        value = node.value
        if value is None or isinstance(value, bool | float) or (isinstance(value, int) and value <= MAX_NUMBER):
            return node
        raise self._refused(node, "numbers are real and at most 2**53, texts are in simple quotes")

    def _reads(self, node: ast.AST) -> bool:
        return any(isinstance(part, ast.Name) and part.id in self.names.uses for part in ast.walk(node))

    def _refused(self, node: ast.AST, why: str) -> ValueError:
        part = self.names.restored(ast.unparse(node))
        return ValueError(
            f"The design {brief(self.names.formula)} is not built, because of {part[:80]!r}: {why}."
            f"{hint(self.names.formula, self.names.columns)}"
        )


def _called(name: str, arguments: list[ast.expr], keywords: list[ast.keyword]) -> ast.Call:
    return ast.Call(ast.parse(name, mode="eval").body, arguments, keywords)


MAX_TERMS: Final = 2_000
MAX_FACTORS: Final = 6


def check_number_of_terms(rewritten: str, formula: str) -> None:
    """Raise ValueError if a rewritten formula has too many terms, or a term of too many factors; nothing is evaluated."""
    terms, degree, factors = _size(DefaultFormulaParser().get_ast(rewritten))
    degree = min(degree, factors)
    if terms <= MAX_TERMS and degree <= MAX_FACTORS:
        return
    limit = f"{MAX_TERMS:,} terms" if terms > MAX_TERMS else f"{MAX_FACTORS} columns in one interaction"
    raise ValueError(
        f"The design {brief(formula)} multiplies out to more than {limit}. Write the interactions that you mean, such as a:b, with + "
        "between them."
    )


def _size(root: Any) -> tuple[int, int, int]:
    """Return upper bounds of the number of terms and of factors in a term, and the number of different factors."""
    sizes: dict[int, tuple[int, int]] = {}
    leaves: set[str] = set()
    todo = [root]
    while todo:  # no recursion: sums of many terms are deep
        node = todo.pop()
        if not isinstance(node, ASTNode):
            leaves.add(str(node))
            sizes[id(node)] = (1, 1)
            continue
        missing = [child for child in node.args if id(child) not in sizes]
        if missing:
            todo += [node, *missing]
            continue
        sizes[id(node)] = _combined(node, [sizes[id(child)] for child in node.args])
    return *sizes[id(root)], len(leaves)


def _combined(node: ASTNode, sizes: list[tuple[int, int]]) -> tuple[int, int]:
    symbol = node.operator.symbol
    if len(sizes) == 1:
        return sizes[0]
    (a, of_a), (b, of_b) = sizes
    if symbol in ("**", "^"):
        times = str(node.args[1])
        k = min(int(times), 60) if times.isdecimal() and len(times) < 6 else 60
        return min(a, MAX_TERMS + 1) ** k, of_a * k
    if symbol in ("*", ":"):
        return a * b + (a + b) * (symbol == "*"), of_a + of_b
    if symbol in ("/", "in"):
        return a + b, max(of_a * a + of_b, of_b * b + of_a)
    return a + (b if symbol != "-" else 0), max(of_a, of_b)
