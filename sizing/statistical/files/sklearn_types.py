"""The types of a skops file that are read here. Nothing is made of them, whatever they are: a file with another type is refused.

Source: what skops 0.16.0 writes for models of scikit-learn 1.9.1; each was seen in a file of our own.
"""

from __future__ import annotations

from sizing.statistical.own import StepKind

PLAIN = frozenset(
    {
        "builtins.dict", "builtins.list", "builtins.tuple", "builtins.str", "builtins.int", "builtins.float", "builtins.bool",
        "builtins.set", "builtins.slice", "builtins.NoneType", "collections.OrderedDict", "collections.defaultdict",
        "numpy.ndarray", "numpy.dtype", "numpy.float64", "numpy.float32", "numpy.int64", "numpy.int32", "numpy.int8", "numpy.uint8",
        "numpy.uint32", "numpy.uint64", "numpy.bool", "numpy.bool_", "numpy.str_", "numpy.ma.MaskedArray",
        "numpy.random.mtrand.RandomState", "numpy.random._generator.Generator",
    }
)  # fmt: skip
"""Types of Python and NumPy, by module and name."""

INNER = frozenset(
    {
        "sklearn.tree._tree.Tree", "sklearn.dummy.DummyClassifier", "sklearn.dummy.DummyRegressor",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
        "sklearn.preprocessing._label.LabelBinarizer", "sklearn.preprocessing._label.LabelEncoder",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
        "sklearn.neighbors._kd_tree.KDTree", "sklearn.neighbors._ball_tree.BallTree",
        "sklearn.neighbors._kd_tree.KDTree64", "sklearn.neighbors._ball_tree.BallTree64",
        "sklearn.metrics._dist_metrics.EuclideanDistance", "sklearn.metrics._dist_metrics.EuclideanDistance64",
        "sklearn.metrics._dist_metrics.ManhattanDistance64", "sklearn.metrics._dist_metrics.MinkowskiDistance64",
        "sklearn._loss.link.Interval", "sklearn._loss.link.LogitLink", "sklearn._loss.link.MultinomialLogit",
        "sklearn._loss.link.IdentityLink", "sklearn._loss.link.LogLink",
        "sklearn._loss._loss.CyHalfBinomialLoss", "sklearn._loss._loss.CyHalfMultinomialLoss",
        "sklearn._loss._loss.CyHalfSquaredError", "sklearn._loss._loss.CyAbsoluteError", "sklearn._loss._loss.CyHalfPoissonLoss",
        "sklearn._loss._loss.CyHalfGammaLoss", "sklearn._loss._loss.CyPinballLoss", "sklearn._loss._loss.CyHuberLoss",
        "sklearn._loss.loss.HalfBinomialLoss", "sklearn._loss.loss.HalfMultinomialLoss", "sklearn._loss.loss.HalfSquaredError",
        "sklearn._loss.loss.AbsoluteError", "sklearn._loss.loss.HalfPoissonLoss", "sklearn._loss.loss.HalfGammaLoss",
        "sklearn._loss.loss.PinballLoss", "sklearn._loss.loss.HuberLoss",
        "sklearn.linear_model._sgd_fast.Hinge", "sklearn.linear_model._sgd_fast.SquaredHinge",
        "sklearn.linear_model._sgd_fast.ModifiedHuber", "sklearn.linear_model._sgd_fast.EpsilonInsensitive",
        "sklearn.linear_model._sgd_fast.SquaredEpsilonInsensitive",
    }
)  # fmt: skip
"""Parts of scikit-learn's models that are no model and no step."""

LINEAR = {
    "sklearn.linear_model._base.LinearRegression": "linear-regression",
    "sklearn.linear_model._ridge.Ridge": "linear-regression",
    "sklearn.linear_model._ridge.RidgeCV": "linear-regression",
    "sklearn.linear_model._coordinate_descent.Lasso": "linear-regression",
    "sklearn.linear_model._coordinate_descent.LassoCV": "linear-regression",
    "sklearn.linear_model._coordinate_descent.ElasticNet": "linear-regression",
    "sklearn.linear_model._coordinate_descent.ElasticNetCV": "linear-regression",
    "sklearn.linear_model._stochastic_gradient.SGDRegressor": "linear-regression",
    "sklearn.linear_model._bayes.BayesianRidge": "linear-regression",
    "sklearn.linear_model._huber.HuberRegressor": "linear-regression",
    "sklearn.svm._classes.LinearSVR": "linear-regression",
    "sklearn.linear_model._logistic.LogisticRegression": "logistic-regression",
    "sklearn.linear_model._logistic.LogisticRegressionCV": "logistic-regression",
    "sklearn.linear_model._stochastic_gradient.SGDClassifier": "logistic-regression",
    "sklearn.linear_model._ridge.RidgeClassifier": "logistic-regression",
    "sklearn.linear_model._perceptron.Perceptron": "logistic-regression",
    "sklearn.svm._classes.LinearSVC": "logistic-regression",
}
"""Linear models and their family in the catalog."""
SINGLE_TREES = frozenset(
    f"sklearn.tree._classes.{name}"
    for name in ("DecisionTreeClassifier", "DecisionTreeRegressor", "ExtraTreeClassifier", "ExtraTreeRegressor")
)
FORESTS = frozenset(
    {
        *(
            f"sklearn.ensemble._forest.{name}"
            for name in (
                "RandomForestClassifier",
                "RandomForestRegressor",
                "ExtraTreesClassifier",
                "ExtraTreesRegressor",
            )
        ),
        "sklearn.ensemble._iforest.IsolationForest",
    }
)
BOOSTED = frozenset(
    f"sklearn.ensemble._gb.{name}" for name in ("GradientBoostingClassifier", "GradientBoostingRegressor")
)
HISTOGRAM = frozenset(
    f"sklearn.ensemble._hist_gradient_boosting.gradient_boosting.{name}"
    for name in ("HistGradientBoostingClassifier", "HistGradientBoostingRegressor")
)
VECTORS = frozenset(f"sklearn.svm._classes.{name}" for name in ("SVC", "SVR", "NuSVC", "NuSVR", "OneClassSVM"))
NETWORKS = frozenset(
    f"sklearn.neural_network._multilayer_perceptron.{name}" for name in ("MLPClassifier", "MLPRegressor")
)
NEIGHBOURS = frozenset(
    {"sklearn.neighbors._classification.KNeighborsClassifier", "sklearn.neighbors._regression.KNeighborsRegressor"}
)
CLUSTERS = frozenset({"sklearn.cluster._kmeans.KMeans", "sklearn.cluster._kmeans.MiniBatchKMeans"})
BAYES = "sklearn.naive_bayes.GaussianNB"
PIPELINE = "sklearn.pipeline.Pipeline"
UNION = "sklearn.pipeline.FeatureUnion"
COLUMNS = "sklearn.compose._column_transformer.ColumnTransformer"
NESTED = frozenset({PIPELINE, UNION, COLUMNS, "sklearn.compose._column_transformer._RemainderColsList"})

STEPS: dict[str, StepKind] = {
    "sklearn.preprocessing._data.StandardScaler": "scale",
    "sklearn.preprocessing._data.MinMaxScaler": "scale",
    "sklearn.preprocessing._data.MaxAbsScaler": "scale",
    "sklearn.preprocessing._data.RobustScaler": "scale",
    "sklearn.preprocessing._data.Normalizer": "normalize",
    "sklearn.preprocessing._data.QuantileTransformer": "other",
    "sklearn.preprocessing._data.PowerTransformer": "other",
    "sklearn.preprocessing._data.Binarizer": "other",
    "sklearn.preprocessing._discretization.KBinsDiscretizer": "other",
    "sklearn.preprocessing._function_transformer.FunctionTransformer": "other",
    "sklearn.preprocessing._encoders.OneHotEncoder": "one_hot",
    "sklearn.preprocessing._encoders.OrdinalEncoder": "ordinal",
    "sklearn.preprocessing._polynomial.PolynomialFeatures": "polynomial",
    "sklearn.impute._base.SimpleImputer": "impute",
    "sklearn.feature_selection._variance_threshold.VarianceThreshold": "select",
    "sklearn.decomposition._pca.PCA": "other",
    "sklearn.decomposition._truncated_svd.TruncatedSVD": "other",
}
"""Steps of a pipeline, and what they do."""

MODELS = frozenset(
    {*LINEAR, *SINGLE_TREES, *FORESTS, *BOOSTED, *HISTOGRAM, *VECTORS, *NETWORKS, *NEIGHBOURS, *CLUSTERS, BAYES}
)
ALLOWED = frozenset({*PLAIN, *INNER, *MODELS, *NESTED, *STEPS})
"""Every type that a file may hold, by module and name."""
LOADERS = frozenset(
    {
        "ObjectNode", "DictNode", "ListNode", "TupleNode", "SetNode", "JsonNode", "TypeNode", "NdArrayNode", "DTypeNode",
        "MaskedArrayNode", "TreeNode", "LossNode", "RandomStateNode", "RandomGeneratorNode", "SliceNode", "DefaultDictNode",
    }
)  # fmt: skip
"""Ways of skops to load a part that neither call a function nor look one up; others are refused."""
