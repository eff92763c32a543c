# syntax=docker/dockerfile:1
# Two targets:
#   docker build --target guard   -t depois-guard:guard .     no torch, no compiler
#   docker build --target trainer -t depois-guard:trainer .   CPU; add --build-arg RUNTIME=gpu for CUDA
# Both run as user 10001 on a read-only root:
#   docker run --rm --read-only --tmpfs /tmp -v "$PWD/bundle:/bundle:ro" -v "$PWD/data:/data" depois-guard:guard \
#     filter /data/samples.jsonl --bundle /bundle --out /data/judged

# The Python under which the stream was tested on a live broker.
ARG PYTHON=3.11-slim-bookworm
ARG RUNTIME=cpu

FROM python:${PYTHON} AS build
ARG RUNTIME
# On a read-only root nothing can be compiled later: every start would compile each module that it imports.
ENV UV_COMPILE_BYTECODE=1
WORKDIR /src
RUN python -m venv --without-pip /opt/guard && python -m venv --without-pip /opt/trainer
COPY deploy/locks deploy/locks
RUN pip install --no-cache-dir --require-hashes -r deploy/locks/uv.txt
COPY pyproject.toml README.md LICENSE ./
COPY guard guard
COPY training training
# The wheel is built with the locked build backend of the development set, in an environment that is thrown away.
RUN uv build --wheel --build-constraints "deploy/locks/dev-${RUNTIME}.txt" --require-hashes --out-dir /wheels

FROM build AS build-guard
ARG RUNTIME
RUN uv pip install --no-cache --require-hashes --python /opt/guard/bin/python -r "deploy/locks/guard-${RUNTIME}.txt" \
 && uv pip install --no-cache --no-deps --python /opt/guard/bin/python /wheels/*.whl

FROM build AS build-trainer
ARG RUNTIME
RUN uv pip install --no-cache --require-hashes --python /opt/trainer/bin/python -r "deploy/locks/trainer-${RUNTIME}.txt" \
 && uv pip install --no-cache --no-deps --python /opt/trainer/bin/python /wheels/*.whl

FROM python:${PYTHON} AS base
ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin depois \
 && mkdir /bundle /data && chown 10001 /data
WORKDIR /data
USER 10001

FROM base AS trainer
COPY --from=build-trainer /opt/trainer /opt/trainer
ENV PATH=/opt/trainer/bin:$PATH \
    MPLCONFIGDIR=/tmp
HEALTHCHECK --interval=60s --timeout=20s --start-period=20s CMD ["python", "-c", "import torch, onnxruntime"]
ENTRYPOINT ["depois"]
CMD ["--help"]

FROM base AS guard
COPY --from=build-guard /opt/guard /opt/guard
ENV PATH=/opt/guard/bin:$PATH
# Healthy means: the mounted bundle passes every check that serving it would do.
HEALTHCHECK --interval=60s --timeout=20s --start-period=10s CMD ["depois", "bundle", "verify", "/bundle"]
ENTRYPOINT ["depois"]
CMD ["--help"]
