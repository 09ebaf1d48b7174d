# SPDX-License-Identifier: Apache-2.0
"""Two versions of an application on a data set: which is better, on quality too, and a build that fails for the worse.

    python examples/evaluation/run.py

Needs: pip install '.[server,demo]'. Everything runs on this machine, and nothing is left behind.
"""

import os
import sys
import tempfile
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "demo"))

from backend_process import Backend
from processes import Children

RULES = ("--fail-if", "worse(scores.found)", "--fail-if", "worse(error_rate)")


def main() -> int:
    """Run the story; the exit status is 0 where the gate caught the regression."""
    with tempfile.TemporaryDirectory(prefix="otel-loggedmodel-evaluation-") as directory, Children() as children:
        place = Path(directory)
        backend = Backend(children, place / "data", place)
        os.environ.update(OTEL_EXPORTER_OTLP_ENDPOINT=backend.url, XDG_STATE_HOME=directory)
        evaluate()
        backend.run("compare", "code-search-v1", "code-search-v2", "--rows", "--score", "found", "--limit", "3")
        print()
        status = backend.run("gate", "code-search-v1", "code-search-v2", *RULES)
        print(f"exit code {status}")
        return int(status != 1)


def evaluate() -> None:
    """Run both versions over the same rows, with the same scorers."""
    import app
    import quality
    import questions

    import otel_loggedmodel as mlflow

    mlflow.instrument()
    for name, answer in (("code-search-v1", app.answer_v1), ("code-search-v2", app.answer_v2)):
        model = mlflow.create_external_model(name, params={"words_read": str(app.WORDS_READ[name])})
        result = mlflow.genai.evaluate(
            data=questions.rows(),
            predict_fn=answer,
            scorers=[quality.found, quality.reciprocal_rank, quality.fast_enough],
            model_id=model.model_id,
            dataset="HumanEval",
        )
        print(f"{name}: {result.count} rows, first answer right in {result.metrics['found/mean']:.0%}")
    print()


if __name__ == "__main__":
    sys.exit(main())
