"""A small model and a server for it, as somebody would write them: XGBoost in ONNX Runtime behind FastAPI, one worker.

python -m benchmarks.loop_server make MODEL.onnx TREES DEPTH FEATURES
python -m benchmarks.loop_server serve MODEL.onnx PORT
"""

from __future__ import annotations

import sys
from pathlib import Path

TRAINING_ROWS = 20_000


def make(path: Path, trees: int, depth: int, features: int) -> None:
    """Train trees on noise, so that they grow to their full depth, and write them as ONNX."""
    import numpy as np
    import xgboost
    from onnxmltools import convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType

    random = np.random.default_rng(6)
    rows, target = random.normal(size=(TRAINING_ROWS, features)), random.normal(size=TRAINING_ROWS)
    model = xgboost.XGBRegressor(n_estimators=trees, max_depth=depth, n_jobs=2, min_child_weight=0)
    model.fit(rows.astype(np.float32), target)
    onnx = convert_xgboost(model, initial_types=[("rows", FloatTensorType([None, features]))])
    path.write_bytes(onnx.SerializeToString())


def serve(path: Path, port: int) -> None:
    """Answer /predict with the model's output; everything in the event loop of one process."""
    import numpy as np
    import onnxruntime
    import uvicorn
    from fastapi import FastAPI, Request

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    app = FastAPI()

    @app.get("/ready")
    async def ready() -> str:
        return "ready"

    # The handler takes `Request` from a local import, which annotations kept as text would not find.
    async def predict(request):  # type: ignore[no-untyped-def]
        values = np.asarray((await request.json())["instances"], dtype=np.float32)
        return {"predictions": session.run(None, {name: values})[0].ravel().tolist()}

    predict.__annotations__["request"] = Request
    app.post("/predict")(predict)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(Path(sys.argv[2]), *map(int, sys.argv[3:6]))
    else:
        serve(Path(sys.argv[2]), int(sys.argv[3]))
