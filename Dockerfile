# The worker for nodes that run tasks in a container (`worker: container` in pulumi/).
# Everything that is installed is locked by its hash; the wheel is made from this tree.
FROM python:3.12-slim-bookworm AS build
WORKDIR /source
COPY requirements/worker.txt requirements/
RUN python -m venv /opt/batchimg \
 && /opt/batchimg/bin/pip install --no-cache-dir --require-hashes --no-deps --only-binary :all: -r requirements/worker.txt
COPY requirements/dev.txt requirements/
RUN python -m venv /opt/build \
 && /opt/build/bin/pip install --no-cache-dir --require-hashes --no-deps -r requirements/dev.txt
COPY . .
RUN /opt/build/bin/pip wheel --no-build-isolation --no-deps --no-index . -w /wheels \
 && /opt/batchimg/bin/pip install --no-cache-dir --no-deps --no-index /wheels/batchimg-*.whl \
 && /opt/batchimg/bin/pip uninstall --yes pip

FROM python:3.12-slim-bookworm
# Tasks write into the folder that Azure Batch mounts, and nowhere else.
RUN useradd --system --uid 10001 --no-create-home batchimg
COPY --from=build /opt/batchimg /opt/batchimg
ENV PATH="/opt/batchimg/bin:$PATH" PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001
# No entry point: Azure Batch gives the command line.
CMD ["batchimg-worker", "--version"]
