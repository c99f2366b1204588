# The worker for nodes that run tasks in a container (`worker: container` in pulumi/).
# It holds what a bundle holds (tools/bundle.py): the wheel of this tree, and what is locked by its hash.
FROM python:3.12-slim-bookworm AS build
WORKDIR /source
COPY . .
RUN python tools/setup.py \
 && .venv/bin/python tools/bundle.py --python 3.12 --to /bundle/worker.tar \
 && tar -xf /bundle/worker.tar -C /bundle
RUN python -m venv --without-pip /opt/batchimg \
 && /opt/batchimg/bin/python /bundle/pip.whl/pip install --no-cache-dir --no-index --find-links /bundle --no-deps --require-hashes -r /bundle/requirements.txt \
 && /opt/batchimg/bin/batchimg-worker --version

FROM python:3.12-slim-bookworm
# Tasks write into the folder that Azure Batch mounts, and nowhere else.
RUN useradd --system --uid 10001 --no-create-home batchimg
COPY --from=build /opt/batchimg /opt/batchimg
ENV PATH="/opt/batchimg/bin:$PATH" PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001
# No entry point: Azure Batch gives the command line.
CMD ["batchimg-worker", "--version"]
