# SPDX-License-Identifier: Apache-2.0
"""One of many processes that start with the same version at the same time: says that it is ready, and begins when told.

Arguments: the server's address, the experiment, the id and the name of the version, the digits of a trace, which the
process links, and `together` to wait, before a LoggedModel is made, until told again: all find none then, and make one.
"""

import sys
import time

from otel_loggedmodel.mlflow_server.models import Models
from otel_loggedmodel.mlflow_server.rest import Server
from otel_loggedmodel.mlflow_server.settings import Settings
from otel_loggedmodel.mlflow_server.traces import TraceLink, Traces
from otel_loggedmodel.versions.model import ModelEvent

uri, experiment_id, model_id, name, trace_id, how = sys.argv[1:]
server = Server(Settings(uri, experiment_id=experiment_id, timeout=120))
models = Models(server)
assert server.experiment_id == experiment_id


def wait_to_be_told(what: str) -> None:
    print(what, flush=True)
    sys.stdin.readline()


if how == "together":
    create = models._registry.create
    models._registry.create = lambda *arguments: (wait_to_be_told("creating"), create(*arguments))[1]
wait_to_be_told("ready")
start_ns = time.time_ns()
if model_id != name:
    params = {"llm": "gpt-4o", "k": "5"}
    models.apply(ModelEvent("created", model_id, start_ns, name=name, params=params, tags={"team": "support"}))
Traces(server, models).link(TraceLink(int(trace_id, 16), start_ns, start_ns + 1_000_000, False, model_id))
print(models.id_of(model_id))
