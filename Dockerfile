# The one image that trains, serves, monitors and evaluates on AWS: `python -m bedplate.container <verb>`.
#
# Never built so far: the machine it was written on has no Docker engine. What it would run is what the local platform runs
# as subprocesses, with the same lock file; the build itself is untested.
#
#   docker build --platform linux/amd64 -t bedplate .

FROM python:3.11-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
COPY requirements/ requirements/
# The lock file holds more than a container needs (the platform's own tools, the tests'); that it is the same file, with
# hashes, is worth more than a smaller image: a model is served by exactly the versions that the laptop tried.
RUN python -m venv /opt/venv && /opt/venv/bin/pip install --require-hashes -r requirements/bedplate.lock
COPY pyproject.toml README.md ./
COPY src/ src/
RUN /opt/venv/bin/pip install --no-deps --no-build-isolation . && /opt/venv/bin/python -m compileall -q /opt/venv

FROM python:3.11-slim
# OpenMP, which scikit-learn's wheels load.
RUN apt-get update && apt-get install --yes --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# SageMaker mounts /opt/ml for the container's user; it runs as root there, as SageMaker's own images do.
WORKDIR /opt/ml
EXPOSE 8080
# Lets a pipeline of models share one host: SageMaker then says the port in SAGEMAKER_BIND_TO_PORT.
LABEL com.amazonaws.sagemaker.capabilities.accept-bind-to-port=true
ENTRYPOINT ["python", "-m", "bedplate.container"]
