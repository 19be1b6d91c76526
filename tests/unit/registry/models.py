"""River models of all kinds, each made anew, seeded where they draw; and a stream to learn from."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from river import (
    anomaly,
    compose,
    drift,
    ensemble,
    facto,
    feature_extraction,
    feature_selection,
    forest,
    imblearn,
    linear_model,
    metrics,
    multiclass,
    naive_bayes,
    neighbors,
    optim,
    preprocessing,
    rules,
    stats,
    tree,
)

Example = tuple[dict[str, Any], Any]


# River leaves parts of these without types.
GaussianNB: Any = naive_bayes.GaussianNB
PolynomialExtender: Any = feature_extraction.PolynomialExtender


def scaled(model: Any) -> Any:
    return preprocessing.StandardScaler() | model


CLASSIFIERS: dict[str, Callable[[], Any]] = {
    "logistic": lambda: scaled(linear_model.LogisticRegression()),
    "logistic-adam": lambda: linear_model.LogisticRegression(optimizer=optim.Adam(), l2=0.1),
    "passive-aggressive": linear_model.PAClassifier,
    "alma": linear_model.ALMAClassifier,
    "softmax": lambda: scaled(linear_model.SoftmaxRegression()),
    "gaussian": GaussianNB,
    "bernoulli": naive_bayes.BernoulliNB,
    "hoeffding": lambda: tree.HoeffdingTreeClassifier(grace_period=20, delta=0.9),
    "hoeffding-adaptive": lambda: tree.HoeffdingAdaptiveTreeClassifier(grace_period=20, seed=1),
    "extremely-fast": lambda: tree.ExtremelyFastDecisionTreeClassifier(grace_period=20),
    "forest": lambda: forest.ARFClassifier(n_models=3, seed=1, grace_period=20),
    "mondrian": lambda: forest.AMFClassifier(n_estimators=3, seed=1),
    "neighbours": lambda: neighbors.KNNClassifier(3, engine=neighbors.SWINN(seed=1)),
    "bagging": lambda: ensemble.ADWINBaggingClassifier(
        tree.HoeffdingTreeClassifier(grace_period=20), n_models=3, seed=1
    ),
    "boosting": lambda: ensemble.AdaBoostClassifier(GaussianNB(), n_models=3, seed=1),
    "leveraging": lambda: ensemble.LeveragingBaggingClassifier(
        linear_model.LogisticRegression(), n_models=3, seed=1
    ),
    "one-vs-rest": lambda: multiclass.OneVsRestClassifier(linear_model.LogisticRegression()),
    "sampler": lambda: imblearn.RandomUnderSampler(
        linear_model.LogisticRegression(), desired_dist={True: 0.5, False: 0.5}, seed=1
    ),
    "one-hot": lambda: (
        (compose.SelectType(str) | preprocessing.OneHotEncoder()) + compose.SelectType(float)
        | linear_model.LogisticRegression()
    ),
    "select-k": lambda: (
        feature_selection.SelectKBest(stats.PearsonCorr(), k=2) | linear_model.LogisticRegression()
    ),
    "polynomial": lambda: PolynomialExtender() | linear_model.LogisticRegression(),
    "factorization": lambda: facto.FMClassifier(n_factors=3, seed=1),
    "drift-retraining": lambda: ensemble.VotingClassifier([GaussianNB(), drift_wrapped()]),
}


def drift_wrapped() -> Any:
    return drift.DriftRetrainingClassifier(linear_model.LogisticRegression())


REGRESSORS: dict[str, Callable[[], Any]] = {
    "linear": lambda: scaled(linear_model.LinearRegression()),
    "bayesian": linear_model.BayesianLinearRegression,
    "regression-tree": lambda: tree.HoeffdingTreeRegressor(grace_period=20, delta=0.9),
    "regression-forest": lambda: forest.ARFRegressor(n_models=3, seed=1, grace_period=20),
    "rules": lambda: rules.AMRules(n_min=20),
    "target": lambda: preprocessing.TargetStandardScaler(linear_model.LinearRegression()),
}

ANOMALIES: dict[str, Callable[[], Any]] = {
    "half-space": lambda: preprocessing.MinMaxScaler() | anomaly.HalfSpaceTrees(n_trees=3, seed=1),
    "local-outlier": lambda: anomaly.LocalOutlierFactor(n_neighbors=5),
    "quantile-filter": lambda: anomaly.QuantileFilter(anomaly.OneClassSVM(nu=0.2), q=0.95),
}

STATISTICS: dict[str, Callable[[], Any]] = {
    "quantile": lambda: stats.Quantile(0.9),
    "rolling-quantile": lambda: stats.RollingQuantile(0.5, 10),
    "kurtosis": stats.Kurtosis,
    "moving-variance": stats.EWVar,
    "adwin": drift.ADWIN,
    "auc": metrics.ROCAUC,
}

MODELS = {**CLASSIFIERS, **REGRESSORS, **ANOMALIES}


def stream(kind: str, count: int, seed: int = 7) -> list[Example]:
    """Return examples; ``kind`` names the model, which says what the labels are."""
    chance = random.Random(seed)
    found: list[Example] = []
    for _ in range(count):
        x = {name: chance.gauss(0, 2) for name in "abcd"}
        if kind == "one-hot":
            x["where"] = chance.choice(["EWR", "JFK", "LGA"])  # type: ignore[assignment]
        total = x["a"] + x["b"] + chance.gauss(0, 0.5)
        found.append((x, total if kind in REGRESSORS else total > 0))
    return found


def taught(kind: str, model: Any, examples: list[Example]) -> Any:
    """Return the model after learning the examples."""
    for x, y in examples:
        if kind in ANOMALIES:
            model.learn_one(dict(x))
        else:
            model.learn_one(dict(x), y)
    return model
