# SPDX-License-Identifier: Apache-2.0
"""Real processes and real forks: the same ids everywhere, each process's own activation, nothing lost at exit."""

import subprocess
import sys

import pytest

from effort import times
from otel_loggedmodel.versions import identity, records
from otlp_receiver import OtlpReceiver
from programs import IMPORTS, finish, run, start

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="forks")


def events(receiver: OtlpReceiver, kind: str):
    return [span for span in receiver.spans() if span.attributes.get("logged_model.event") == kind]


def application_spans(receiver: OtlpReceiver):
    return [span for span in receiver.spans() if "logged_model.event" not in span.attributes]


def test_a_process_that_ends_at_once_delivers_everything() -> None:
    with OtlpReceiver() as receiver:
        output = run(
            """
            model = mlflow.create_external_model("agent", params={"k": "v"})
            mlflow.set_active_model(model_id=model.model_id)
            tracer.start_span("work").end()
            print(model.model_id)
            """,
            receiver.endpoint,
        )
        (created,), (activated,) = events(receiver, "created"), events(receiver, "activated")
        (work,) = application_spans(receiver)
        assert created.attributes["logged_model.id"] == output.strip() == work.attributes["logged_model.id"]
        assert activated.resource["service.name"] == "program"


def test_a_process_without_spans_delivers_its_models() -> None:
    with OtlpReceiver() as receiver:
        run('mlflow.create_external_model("agent", params={"k": "v"})', receiver.endpoint)
        assert len(events(receiver, "created")) == 1


def test_one_environment_variable_links_spans_with_no_code() -> None:
    with OtlpReceiver() as receiver:
        run('tracer.start_span("work").end()', receiver.endpoint, MLFLOW_ACTIVE_MODEL_ID="my-agent-v1.0")
        (work,) = application_spans(receiver)
        assert work.attributes == {"logged_model.id": "my-agent-v1.0"}
        (activated,) = events(receiver, "activated")
        assert [link[:2] for link in work.links] == [(activated.trace_id, activated.parent_span_id)]
        assert events(receiver, "created") == []


def test_many_processes_announce_one_model() -> None:
    program = """
        model = mlflow.create_external_model("agent", params={"k": "v", "l": "ü"}, tags={"t": "1"})
        mlflow.set_active_model("agent")
        tracer.start_span("work").end()
    """
    number = times(full=50, quick=10)
    with OtlpReceiver() as receiver:
        for _ in range(0, number, 5):  # five at a time
            for process in [start(program, receiver.endpoint) for _ in range(5)]:
                finish(process)
        created = events(receiver, "created")
        # Those that run beside another one may leave it to that one.
        assert number // 5 <= len(created) <= number
        assert len({(span.trace_id, span.span_id) for span in created}) == 1
        assert len({span.span_id for span in events(receiver, "activated")}) == number
        assert {span.attributes["logged_model.id"] for span in application_spans(receiver)} == {
            identity.model_id_of("0", "agent", params={"k": "v", "l": "ü"}, tags={"t": "1"})
        }
        folded = records.fold(
            records.event_of(span.attributes, span.start_ns, int(span.span_id, 16))
            for span in receiver.spans()
            if "logged_model.event" in span.attributes
        )
        (model,) = folded.values()
        assert (model.model.name, dict(model.model.params), len(model.activations)) == (
            "agent",
            {"k": "v", "l": "ü"},
            number,
        )


def test_a_fork_changes_no_id_and_activates_for_itself() -> None:
    with OtlpReceiver() as receiver:
        output = run(
            """
            model = mlflow.create_external_model("agent", params={"k": "v"})
            mlflow.set_active_model(model_id=model.model_id)
            children = []
            for number in range(3):
                child = os.fork()
                if child == 0:
                    assert mlflow.get_active_model_id() == model.model_id
                    assert mlflow.create_external_model("agent", params={"k": "v"}).model_id == model.model_id
                    with tracer.start_as_current_span("child"), mlflow.use_model("other"):
                        tracer.start_span("routed").end()
                    provider.shutdown()
                    os._exit(0)
                children.append(child)
            tracer.start_span("parent").end()
            for child in children:
                assert os.waitpid(child, 0)[1] == 0
            print(model.model_id)
            """,
            receiver.endpoint,
        )
        model_id = output.strip()
        ids = sorted((span.name, span.attributes["logged_model.id"]) for span in application_spans(receiver))
        assert ids == [
            *[("child", model_id)] * 3,
            ("parent", model_id),
            *[("routed", identity.reference_to("0", "other"))] * 3,
        ]
        activations = [span for span in events(receiver, "activated") if span.attributes["logged_model.id"] == model_id]
        assert len({span.span_id for span in activations}) == len(activations) == 4
        created = [span for span in events(receiver, "created") if span.attributes["logged_model.id"] == model_id]
        assert len({span.span_id for span in created}) == 1


def test_a_forked_child_announces_what_its_parent_never_delivered() -> None:
    with OtlpReceiver() as receiver:
        run(
            """
            model = mlflow.create_external_model("agent", params={"k": "v"})
            mlflow.set_active_model(model_id=model.model_id)
            child = os.fork()
            if child == 0:
                tracer.start_span("child").end()
                provider.shutdown()
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
            os._exit(0)  # a preloading master that never exports
            """,
            receiver.endpoint,
        )
        (created,) = events(receiver, "created")
        assert created.attributes["logged_model.param.k"] == "v"
        assert len(events(receiver, "activated")) == 1


@pytest.mark.parametrize("parent_is_gone", [False, True])
def test_a_forked_child_announces_what_it_uses_unless_its_parent_lives(parent_is_gone: bool) -> None:
    with OtlpReceiver() as receiver:
        run(
            f"""
            mlflow.set_active_model("agent")
            tracer.start_span("parent").end()
            provider.force_flush()
            reading, writing = os.pipe()
            child = os.fork()
            if child == 0:
                os.close(writing)
                if {parent_is_gone}:
                    os.read(reading, 1)  # until the parent has closed it
                tracer.start_span("child").end()
                provider.shutdown()
                os._exit(0)
            if {parent_is_gone}:
                provider.shutdown()
                os.close(writing)
            assert os.waitpid(child, 0)[1] == 0
            """,
            receiver.endpoint,
        )
        created = events(receiver, "created")
        assert len(created) == 1 + parent_is_gone
        assert len({(span.trace_id, span.span_id) for span in created}) == 1
        assert len({span.span_id for span in events(receiver, "activated")}) == 2


def test_a_fork_while_other_threads_hold_every_lock_does_not_hang(tmp_path) -> None:
    # Not over HTTP: `requests` imports a module for each request, and a fork in the middle of an import leaves the
    # import system of the child locked, with any exporter that uses it.
    path = tmp_path / "spans"
    run(
        f"""
        import logging, threading
        from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
        output = os.open({str(path)!r}, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        class ToFile(SpanExporter):
            def export(self, spans):
                for span in spans:
                    model_id = span.attributes['logged_model.id']
                    os.write(output, f"{{os.getpid()}} {{span.name}} {{model_id}}\\n".encode())
                return SpanExportResult.SUCCESS
        provider = TracerProvider()
        provider.add_span_processor(mlflow.LoggedModelSpanProcessor(ToFile()))
        provider.add_span_processor(BatchSpanProcessor(mlflow.LoggedModelExporter(ToFile())))
        tracer = provider.get_tracer("program")
        logging.disable(logging.CRITICAL)  # the queue may overflow, which is not the point
        stop = threading.Event()
        def busy(number):
            step = 0
            while not stop.is_set():
                step += 1
                with mlflow.set_active_model(f"m{{number}}-{{step % 50}}"):
                    tracer.start_span("busy").end()
                mlflow.create_external_model("x", params={{"n": str(step % 5000)}})
                provider.force_flush()
        threads = [threading.Thread(target=busy, args=(number,), daemon=True) for number in range(4)]
        for thread in threads: thread.start()
        for number in range(40):
            child = os.fork()
            if child == 0:
                with mlflow.set_active_model("child"):
                    tracer.start_span("child").end()
                provider.force_flush()
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
        stop.set()
        for thread in threads: thread.join()
        """,
        endpoint="",
        set_up=IMPORTS,
    )
    lines = [line.split() for line in path.read_text().splitlines()]
    spans = [(process, model_id) for process, name, model_id in lines if name == "child"]
    assert len({process for process, _ in spans}) == len(spans) == 40
    assert {model_id for _, model_id in spans} == {identity.reference_to("0", "child")}
    for process, model_id in spans:
        assert [process, "logged_model.created", model_id] in lines
        assert [process, "logged_model.activated", model_id] in lines


def test_the_sender_thread_works_in_a_forked_child() -> None:
    with OtlpReceiver() as receiver:
        run(
            """
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            own = TracerProvider(shutdown_on_exit=False)
            own.add_span_processor(mlflow.LoggedModelSpanProcessor(OTLPSpanExporter()))
            child = os.fork()
            if child == 0:
                mlflow.create_external_model("from-child")
                own.shutdown()
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
            own.shutdown()
            """,
            receiver.endpoint,
        )
        (created,) = events(receiver, "created")
        assert created.attributes["logged_model.name"] == "from-child"


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_models_go_to_worker_processes_and_back(method: str, tmp_path) -> None:
    program = tmp_path / "pool.py"
    program.write_text(
        "import multiprocessing, sys\n"
        "import otel_loggedmodel as mlflow\n"
        "def work(model):\n"
        "    with mlflow.use_model(model):\n"
        "        return mlflow.get_active_model_id(), mlflow.create_external_model('a', params={'k': 'v'}), model\n"
        "if __name__ == '__main__':\n"
        "    model = mlflow.create_external_model('a', params={'k': 'v'})\n"
        "    with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:\n"
        "        for active, made, same in pool.map(work, [model] * 4):\n"
        "            assert active == made.model_id == same.model_id == model.model_id and same == model\n"
        "    print('fine')\n"
    )
    done = subprocess.run(
        [sys.executable, str(program), method], check=False, capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("fine\n", "")
