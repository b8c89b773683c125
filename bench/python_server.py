"""The peer of the server: FastAPI + uvicorn + XGBoost + SHAP, the same JSON in, the same 13 columns, the probabilities and the SHAP
values of the answered class summed per clinical feature out. It keeps no record of its answers and has no second model for rarity,
so it does less than the product.

usage:  python_server.py train OUT.json FILE...                  (FILE: the case table's Parquet files)
        python_server.py serve PORT WORKERS                      (environment: MODEL=OUT.json, EXPLAINER=shap|xgboost)

EXPLAINER=shap asks `shap.TreeExplainer` per request, as the package's documentation shows. EXPLAINER=xgboost leaves the package
out and asks the booster for its contributions in place: the fastest way that the peer's libraries offer.
"""
import os
import sys
from typing import Annotated, Literal

import numpy as np
import xgboost
from fastapi import FastAPI, Response
from pydantic import BaseModel, Field

import orjson

SEVERITY = ["healthy", "mild", "acute", "chronic"]
GENDER, BLOOD = {"female": 2, "male": 3}, {"A": 4, "B": 5, "AB": 6, "O": 7}
PRESSURE = ["normal", "elevated", "stage_1", "stage_2", "crisis"]
FEATURES = {"age": [0], "exercise": [1], "gender": [2, 3], "blood_type": [4, 5, 6, 7], "blood_pressure": [8, 9, 10, 11, 12]}


class Patient(BaseModel):
    patient_id: str | None = None
    age_years: Annotated[int, Field(ge=0, le=120)]
    gender: Literal["female", "male"]
    blood_type: Literal["A", "B", "AB", "O"]
    systolic_mmhg: Annotated[int, Field(ge=50, le=280)]
    diastolic_mmhg: Annotated[int, Field(ge=30, le=180)]
    exercise_days_per_month: Annotated[int, Field(ge=0, le=31)]


def category(systolic, diastolic):
    if systolic > 180 or diastolic > 120:
        return 4
    if systolic >= 140 or diastolic >= 90:
        return 3
    if systolic >= 130 or diastolic >= 80:
        return 2
    return 1 if systolic >= 120 else 0


def encode(patient):
    """The 13 columns, the pressure category."""
    row, pressure = np.zeros((1, 13), np.float32), category(patient.systolic_mmhg, patient.diastolic_mmhg)
    row[0, 0], row[0, 1] = patient.age_years / 120, patient.exercise_days_per_month / 31
    row[0, GENDER[patient.gender]] = row[0, BLOOD[patient.blood_type]] = row[0, 8 + pressure] = 1
    return row, pressure


def shap_values(booster):
    """row, class -> (13 SHAP values of the class's margin, their base value), by the shap package."""
    import shap
    explainer = shap.TreeExplainer(booster)
    def explain(row, k):
        values = np.asarray(explainer.shap_values(row))  # 1 x 13 x 4
        return values[0, :, k], explainer.expected_value[k]
    return explain


def own_contributions(booster):
    """The same by the booster itself."""
    def explain(row, k):
        values = booster.predict(xgboost.DMatrix(row, nthread=1), pred_contribs=True, validate_features=False)[0, k]
        return values[:13], values[13]
    return explain


def application():
    booster = xgboost.Booster({"nthread": 1}, model_file=os.environ["MODEL"])
    explain = {"shap": shap_values, "xgboost": own_contributions}[os.environ.get("EXPLAINER", "shap")](booster)
    app = FastAPI()

    @app.post("/api/v1/predictions")
    async def predict(patient: Patient):
        row, pressure = encode(patient)
        p = booster.inplace_predict(row)[0]
        k = int(p.argmax())
        values, base = explain(row, k)
        contributions = [{"feature": name, "contribution": float(values[columns].sum())} for name, columns in FEATURES.items()]
        contributions.sort(key=lambda one: -abs(one["contribution"]))
        body = {"severity": {"class": SEVERITY[k], "probabilities": dict(zip(SEVERITY, p.tolist()))}, "blood_pressure": PRESSURE[pressure],
                "explanation": {"class": SEVERITY[k], "unit": "log-odds", "base_value": float(base), "contributions": contributions}}
        return Response(orjson.dumps(body), media_type="application/json")

    return app


def train(out, files):
    import python_pipeline
    frame = python_pipeline.rows(files, python_pipeline.TRAIN).collect()
    matrix = xgboost.QuantileDMatrix(frame.drop("label"), label=frame["label"].to_numpy())
    xgboost.train(python_pipeline.PARAMETERS, matrix, num_boost_round=python_pipeline.ROUNDS).save_model(out)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["train", out, *files] if files:
            train(out, files)
        case ["serve", port, workers]:
            import uvicorn
            uvicorn.run("python_server:application", factory=True, app_dir=os.path.dirname(os.path.abspath(__file__)), host="127.0.0.1",
                        port=int(port), workers=int(workers), loop="uvloop", http="httptools", access_log=False, log_level="warning",
                        timeout_worker_healthcheck=60)
        case _:
            sys.exit(__doc__)
